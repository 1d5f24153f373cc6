use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request as Received;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::agent::EXPIRY;
use super::course::LINGER;
use super::*;

/// What an agent was asked for, and when; it answers after a while, or only with errors.
#[derive(Clone, Default)]
struct Asked {
    log: Arc<Mutex<Vec<(Duration, bool)>>>,
    takes: Duration,
    refuses: bool,
}

struct Fake(Asked, Instant);

impl Agent for Fake {
    async fn protect(&self, protect: bool) -> Result<(), AgentError> {
        self.0.log.lock().unwrap().push((self.1.elapsed(), protect));
        sleep(self.0.takes).await;
        if self.0.refuses { Err(AgentError::Refused("TASK_NOT_VALID".into())) } else { Ok(()) }
    }
}

/// A task that is kept protected, and the number of its batches.
struct Task {
    asked: Asked,
    batches: watch::Sender<usize>,
    metrics: Arc<Metrics>,
    end: CancellationToken,
    kept: JoinHandle<()>,
}

impl Task {
    fn new(asked: Asked) -> Self {
        let (batches, watched) = watch::channel(0);
        let (end, metrics) = (CancellationToken::new(), Arc::new(Metrics::new().unwrap()));
        let kept = tokio::spawn(keep(Fake(asked.clone(), Instant::now()), watched, metrics.clone(), end.clone()));
        Self { asked, batches, metrics, end, kept }
    }

    async fn busy_for(&self, seconds: u64) {
        self.batches.send_modify(|batches| *batches += 1);
        sleep(Duration::from_secs(seconds)).await;
        self.batches.send_modify(|batches| *batches -= 1);
    }

    /// What was asked for, in whole seconds from the start.
    fn log(&self) -> Vec<(u64, bool)> {
        self.asked.log.lock().unwrap().iter().map(|(at, protect)| (at.as_secs(), *protect)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_batch_is_protected_all_the_time_and_then_not_any_more() {
    let task = Task::new(Asked::default());
    task.busy_for(3590).await;
    sleep(Duration::from_secs(3600)).await;
    let renewals = [0, 900, 1800, 2700].map(|at| (at, true));
    assert_eq!(task.log(), [&renewals[..], &[(3620, false)]].concat());
}

#[tokio::test(start_paused = true)]
async fn short_pauses_between_batches_ask_for_nothing() {
    let task = Task::new(Asked::default());
    for _ in 0..60 {
        task.busy_for(1).await;
        sleep(Duration::from_secs(9)).await;
    }
    assert_eq!(task.log(), [(0, true)]);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(task.log(), [(0, true), (621, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_never_worked_asks_for_nothing() {
    let task = Task::new(Asked::default());
    sleep(Duration::from_secs(7200)).await;
    task.end.cancel();
    task.kept.await.unwrap();
    assert_eq!(task.asked.log.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_process_ends_the_protection_at_once() {
    let task = Task::new(Asked::default());
    task.busy_for(5).await;
    task.end.cancel();
    let start = Instant::now();
    let asked = task.asked.clone();
    task.kept.await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(!asked.log.lock().unwrap().last().unwrap().1);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_hangs_holds_up_nobody_s_end() {
    let task = Task::new(Asked { takes: Duration::from_secs(3600), ..Asked::default() });
    task.busy_for(2).await;
    task.end.cancel();
    let start = Instant::now();
    task.kept.await.unwrap();
    assert!(start.elapsed() <= LAST_PATIENCE + Duration::from_millis(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_refuses_is_asked_less_and_less_often() {
    let task = Task::new(Asked { refuses: true, ..Asked::default() });
    task.busy_for(3600).await;
    let at: Vec<_> = task.log().iter().map(|(at, _)| *at).collect();
    assert_eq!(at[..8], [0, 5, 15, 35, 75, 155, 315, 615]);
    assert!(at.len() < 20, "{at:?}");
    let counted = format!("gristmill_protection_refused_total{{reason=\"TASK_NOT_VALID\"}} {}", at.len());
    assert!(task.metrics.render().contains(&counted), "{counted} is not in\n{}", task.metrics.render());
    // It may be protected after all; that ends by itself after half an hour.
    sleep(Duration::from_secs(7200)).await;
    let clears: Vec<_> = task.log().into_iter().filter(|(_, protect)| !protect).collect();
    assert!(clears.len() <= 7 && clears.iter().all(|(at, _)| *at <= 3600 + 1800), "{clears:?}");
}

proptest! {
    /// Whatever the batches and the agent do: while there is work the task is protected or was just asked for, an idle one is
    /// not, and the agent is not asked all the time.
    #[test]
    fn protected_while_busy_and_asked_seldom(
        spans in prop::collection::vec((1_u64..3000, 1_u64..3000), 1..12),
        fails in prop::collection::vec(prop::bool::weighted(0.2), 200),
    ) {
        let start = Instant::now();
        let (mut now, mut course, mut asked) = (start, Course::new(start), Vec::new());
        let mut protected: Option<Instant> = None;
        for (busy_for, idle_for) in spans {
            for (busy, length) in [(true, busy_for), (false, idle_for)] {
                let (since, until) = (now, now + Duration::from_secs(length));
                while now < until {
                    match course.next(now, busy) {
                        Step::Wait(next) => {
                            let next = next.map_or(until, |next| next.min(until));
                            let covered = protected.is_some_and(|end| next <= end) || course.failures > 0;
                            prop_assert!(!busy || covered, "busy and not protected");
                            prop_assert!(next > now || next == until);
                            now = next;
                        }
                        Step::Ask(protect) => {
                            let done = !fails[asked.len() % fails.len()];
                            asked.push(now);
                            course.answered(now, protect, done);
                            if done {
                                protected = protect.then(|| now + EXPIRY);
                            }
                        }
                    }
                }
                let over = now >= since + LINGER + Duration::from_secs(1) && course.failures == 0;
                let still = protected.is_some_and(|end| end > now);
                prop_assert!(busy || !over || !still, "idle and protected");
            }
        }
        let most = (now - start).as_secs() / 5 + 2;
        prop_assert!(asked.len() as u64 <= most, "{} times in {:?}", asked.len(), now - start);
    }
}

/// An agent that gives these answers over HTTP, one after the other, and what it was sent.
async fn agent(answers: Vec<Value>) -> (EcsAgent, Arc<Mutex<Vec<(String, Value)>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}/api/task-1/", listener.local_addr().unwrap());
    let (answers, told) = (Arc::new(Mutex::new(answers.into_iter())), log.clone());
    let routes = Router::new().fallback(move |request: Received| {
        let (answers, told) = (answers.clone(), told.clone());
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let body = to_bytes(request.into_body(), 1 << 16).await.unwrap();
            told.lock().unwrap().push((line, serde_json::from_slice(&body).unwrap()));
            answers.lock().unwrap().next().unwrap().to_string()
        }
    });
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (EcsAgent::at(&at).unwrap(), log)
}

#[tokio::test]
async fn the_agent_is_asked_as_its_documentation_says_and_its_three_answers_are_understood() {
    let (agent, sent) = agent(vec![
        json!({"protection": {"ExpirationDate": "2026-11-20T09:00:00Z", "ProtectionEnabled": true, "TaskArn": "arn:t"}}),
        json!({"protection": {"ExpirationDate": null, "ProtectionEnabled": false, "TaskArn": "arn:t"}}),
        json!({"failure": {"Arn": "arn:t", "Detail": null, "Reason": "TASK_NOT_VALID"}}),
        json!({"error": {"Arn": "arn:t", "Code": "AccessDeniedException", "Message": "not authorized"}}),
        json!({"protection": {"ProtectionEnabled": false}}),
    ])
    .await;
    agent.protect(true).await.unwrap();
    agent.protect(false).await.unwrap();
    let said = |result: Result<(), AgentError>| result.unwrap_err().to_string();
    assert_eq!(said(agent.protect(true).await), "TASK_NOT_VALID");
    assert_eq!(said(agent.protect(true).await), "AccessDeniedException: not authorized");
    assert!(said(agent.protect(true).await).starts_with("the agent answered \"{"));
    let sent = sent.lock().unwrap().clone();
    let put = "PUT /api/task-1/task-protection/v1/state".to_owned();
    assert_eq!(sent[0], (put.clone(), json!({"ProtectionEnabled": true, "ExpiresInMinutes": 30})));
    assert_eq!(sent[1], (put, json!({"ProtectionEnabled": false})));
}

#[test]
fn a_refusal_is_counted_under_one_of_a_few_reasons() {
    let label = |text: &str| AgentError::Refused(text.into()).label();
    assert_eq!(label("DEPLOYMENT_BLOCKED: the service is being deployed"), "DEPLOYMENT_BLOCKED");
    assert_eq!(label("AccessDeniedException: not authorized"), "AccessDeniedException");
    assert_eq!(label("the agent answered \"{}\""), "other");
    assert_eq!(AgentError::Uri(String::new()).label(), "no_answer");
}

#[tokio::test]
async fn an_agent_that_is_not_there_and_one_that_cannot_be_are_errors() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = EcsAgent::at(&format!("http://{free}/api")).unwrap().protect(true).await.unwrap_err();
    assert!(error.to_string().contains("did not answer"), "{error}");
    for wrong in ["", "169.254.170.2/api", "https://agent/api", "http://"] {
        assert!(matches!(EcsAgent::at(wrong), Err(AgentError::Uri(_))), "{wrong}");
    }
}
