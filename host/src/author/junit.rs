//! What was looked at, as JUnit's XML, which every CI shows.

use quick_xml::Writer;
use quick_xml::events::{BytesText, Event};

use super::error::AuthorError;
use super::trial::Checked;
use crate::text::line;

/// The report of a plugin's test.
pub fn junit(dataset: &str, checked: &[Checked]) -> Result<Vec<u8>, AuthorError> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    let flaws = checked.iter().filter(|checked| checked.flaw.is_some()).count();
    let (all, flaws) = (checked.len().to_string(), flaws.to_string());
    let suite = xml.create_element("testsuite").with_attributes([
        ("name", dataset),
        ("tests", all.as_str()),
        ("failures", flaws.as_str()),
    ]);
    let written = suite.write_inner_content(|xml| {
        for checked in checked {
            let (class, name) = (format!("{dataset}.{}", checked.check), line(&checked.subject));
            let case = xml.create_element("testcase").with_attributes([("classname", class.as_str()), ("name", &name)]);
            match &checked.flaw {
                None => _ = case.write_empty()?,
                Some(flaw) => {
                    // XML has no control characters, not even escaped.
                    let message = line(&flaw.message);
                    case.write_inner_content(|xml| {
                        let failure = xml.create_element("failure").with_attribute(("message", &*message));
                        failure.write_text_content(BytesText::new(&line(&flaw.help)))?;
                        Ok(())
                    })?;
                }
            }
        }
        Ok(())
    });
    written.map_err(|error| AuthorError::Refused(format!("the JUnit report: {error}")))?;
    let _ = xml.write_event(Event::Eof);
    let mut bytes = xml.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::Flaw;

    #[test]
    fn a_flaw_is_a_failure_and_nothing_breaks_the_xml() {
        let flaw = Flaw { message: "a < b & \"c\"\u{1}\nd".into(), help: "see <it>".into() };
        let checked = [Checked::of("result", "a.csv", None), Checked::of("golden rows", "o", Some(flaw))];
        insta::assert_snapshot!(String::from_utf8(junit("d", &checked).unwrap()).unwrap(), @r#"
        <testsuite name="d" tests="2" failures="1">
          <testcase classname="d.result" name="a.csv"/>
          <testcase classname="d.golden rows" name="o">
            <failure message="a &lt; b &amp; &quot;c&quot;\u{1}\nd">see &lt;it&gt;</failure>
          </testcase>
        </testsuite>
        "#);
    }
}
