//! Components of Python: componentize-py of one version, in a virtual environment that gristmill makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use toml_edit::DocumentMut;

use super::super::carried::PYTHON;
use super::super::error::AuthorError;
use super::super::language::Language;
use super::super::sdk;
use super::super::sources::Sources;
use super::process::{command, printed, run, succeeds};
use super::tools::{Tools, touch};
use crate::job::Digest;

/// The oldest Python whose syntax the SDK has.
const OLDEST: (u32, u32) = (3, 11);

/// What was built last: the component's digest and that of all it was made of.
const STAMP: &str = ".gristmill/built";

/// Builds the plugin, unless its component is of just these sources: componentize-py takes seconds.
pub(super) async fn build(plugin: &Path, component: &Path, tools: &Tools) -> Result<(), AuthorError> {
    let own = plugin.join(sdk::FOLDER);
    let python = environment(tools).await?;
    let source = sdk_of(plugin)
        .map_or_else(|| sdk::place(plugin, Language::Python).map(|()| plugin.join(sdk::path(Language::Python))), Ok)?;
    let made_of =
        format!("{} {} {}", Sources::of(plugin)?.code, Sources::of(&source)?.code, Digest::of(pinned().as_bytes()));
    let stamp = plugin.join(STAMP);
    let known = fs::read_to_string(&stamp).unwrap_or_default();
    let is_it = |bytes: Vec<u8>| known == format!("{made_of} {}", Digest::of(&bytes));
    if fs::read(component).is_ok_and(is_it) {
        return touch(component);
    }
    let packages = packages(plugin, &python).await?;
    let mut build = command(&python.display().to_string());
    build.args(["-m", "gristmill", "build", "app.py", "--output"]).arg(component).current_dir(plugin);
    if let Some(packages) = packages {
        build.arg("--packages").arg(packages);
    }
    build.env("PYTHONPATH", &source).env("PYTHONDONTWRITEBYTECODE", "1").stderr(Stdio::piped());
    let output = run(&mut build).await?.ok_or_else(|| AuthorError::Failed(format!("{} is gone", python.display())))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().trim_start_matches("error: ");
        return Err(AuthorError::Failed(said.to_owned()));
    }
    let bytes = fs::read(component).map_err(AuthorError::file(component))?;
    sdk::write(&own.join(".gitignore"), "*\n")?;
    sdk::write(&stamp, format!("{made_of} {}", Digest::of(&bytes)))
}

/// The SDK that the plugin's own tests use, if its pyproject.toml names one that is there: the tests and the component have one SDK.
fn sdk_of(plugin: &Path) -> Option<PathBuf> {
    let manifest: DocumentMut = fs::read_to_string(plugin.join("pyproject.toml")).ok()?.parse().ok()?;
    let paths = manifest.get("tool")?.get("pytest")?.get("ini_options")?.get("pythonpath")?.as_array()?;
    let paths = paths.iter().filter_map(|path| path.as_str()).filter(|path| *path != sdk::path(Language::Python));
    paths.map(|path| plugin.join(path)).find(|path| path.join("gristmill/component.py").is_file())
}

/// What is installed: exactly what the SDK was tested with.
fn pinned() -> &'static str {
    PYTHON.iter().find(|(path, _)| *path == "requirements.txt").map_or("", |(_, text)| text)
}

/// The Python of an environment with the pinned tools, made if it is not there. All plugins of a user share it.
async fn environment(tools: &Tools) -> Result<PathBuf, AuthorError> {
    let given = std::env::var_os("GRISTMILL_VENV").map(PathBuf::from);
    let name = format!("python-{}", &Digest::of(pinned().as_bytes()).hex()[..12]);
    let folder = given.or_else(|| Some(tools.cache.as_ref()?.join(name))).ok_or_else(|| {
        AuthorError::Refused("there is no home for Python's tools: set HOME, or GRISTMILL_VENV to a folder".into())
    })?;
    let (python, mark) = (folder.join("bin/python"), folder.join("installed.txt"));
    let is_whole = fs::read_to_string(&mark).is_ok_and(|text| text == pinned());
    if is_whole && succeeds(command(&python.display().to_string()).args(["-c", ""])).await {
        return Ok(python);
    }
    let system = system().await?;
    eprintln!("preparing Python's tools in {}: once", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(AuthorError::file(&folder))?;
    }
    let failed = |what: &str, said: &[u8]| {
        let said = String::from_utf8_lossy(said);
        let last = said.trim().lines().last().unwrap_or_default().to_owned();
        AuthorError::Failed(format!("{what}: {last}"))
    };
    let made = run(command(&system).args(["-m", "venv"]).arg(&folder).stderr(Stdio::piped())).await?;
    if let Some(output) = made.filter(|output| !output.status.success()) {
        return Err(failed("the environment could not be made", &output.stderr));
    }
    let requirements = folder.join("requirements.txt");
    sdk::write(&requirements, pinned())?;
    let mut pip = command(&python.display().to_string());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
    let installed = run(pip.stderr(Stdio::piped())).await?;
    if let Some(output) = installed.filter(|output| !output.status.success()) {
        return Err(failed("pip could not install Python's tools", &output.stderr));
    }
    // Last: an environment that was made in part has no mark.
    sdk::write(&mark, pinned())?;
    Ok(python)
}

/// A Python of this machine that is new enough and makes environments.
async fn system() -> Result<String, AuthorError> {
    let (major, minor) = OLDEST;
    let new_enough = format!("import sys; sys.exit(sys.version_info < ({major}, {minor}))");
    for name in ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python"] {
        if !succeeds(command(name).args(["-c", &new_enough])).await {
            continue;
        }
        // Debian and Ubuntu have a python3 that cannot make environments until python3-venv is there.
        if succeeds(command(name).args(["-c", "import ensurepip, venv"])).await {
            return Ok(name.into());
        }
        let what = format!("{name} cannot make virtual environments");
        return Err(AuthorError::Missing { what, command: "apt-get install python3-venv".into() });
    }
    let found = printed(command("python3").args(["-c", "import platform; print(platform.python_version())"])).await;
    let found = found.map_or_else(|| "there is none".into(), |version| format!("python3 is {version}"));
    let what = format!("Python {major}.{minor} or newer is missing ({found})");
    Err(AuthorError::Missing { what, command: "apt-get install python3 python3-venv".into() })
}

/// The packages of the plugin's requirements.txt, installed for it alone. Only what is pure Python runs in the sandbox.
async fn packages(plugin: &Path, python: &Path) -> Result<Option<PathBuf>, AuthorError> {
    let file = plugin.join("requirements.txt");
    let Ok(text) = fs::read_to_string(&file) else { return Ok(None) };
    let asked = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    if asked.clone().all(str::is_empty) {
        return Ok(None);
    }
    let own = plugin.join(sdk::FOLDER);
    let (folder, mark) = (own.join("packages"), own.join("packages.txt"));
    if fs::read_to_string(&mark).is_ok_and(|known| known == text) && folder.is_dir() {
        return Ok(Some(folder));
    }
    let python = python.display().to_string();
    let mut look = command(&python);
    look.args(["-m", "gristmill", "requirements"]).arg(&file).arg("--into").arg(&folder);
    let source = sdk_of(plugin).unwrap_or_else(|| plugin.join(sdk::path(Language::Python)));
    let output = run(look.env("PYTHONPATH", source).stderr(Stdio::piped())).await?;
    let output = output.ok_or_else(|| AuthorError::Failed(format!("{python} is gone")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(AuthorError::Refused(said.trim().trim_start_matches("error: ").to_owned()));
    }
    sdk::write(&mark, text)?;
    Ok(Some(folder))
}
