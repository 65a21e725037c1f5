//! Asking the workers. They answer between two events of their own; one that does not is left out
//! after a while, so that an operator learns of it instead of waiting.

use std::fmt::Write;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Control;
use crate::engine::{Inquiry, Request};

/// How long a worker may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// `dump_requestlist`
pub(super) async fn dump(control: &Control) -> String {
    let mut text = String::new();
    for (index, worker) in control.workers.iter().enumerate() {
        let _ = writeln!(text, "thread #{index}");
        text.push_str("#   type cl name    seconds    module status\n");
        let (reply, told) = oneshot::channel();
        match ask(worker, Inquiry::Requests(reply), told).await {
            Some(requests) => lines(&mut text, &requests),
            None => {
                let _ = writeln!(text, "error thread {index} does not answer");
            }
        }
    }
    text
}

fn lines(text: &mut String, requests: &[Request]) {
    for (index, request) in requests.iter().enumerate() {
        let age = match request.age {
            Some(age) => format!("{}.{:06}", age.as_secs(), age.subsec_micros()),
            None => "-".to_owned(),
        };
        let question = &request.question;
        let (rtype, class) = (question.rtype.to_string(), question.class.to_string());
        let (name, state) = (&question.name, &request.state);
        let _ = writeln!(text, "{index:3} {rtype:>4} {class:>2} {name} {age} {state}");
    }
}

/// `flush_requestlist`
pub(super) async fn drop_all(control: &Control) -> String {
    for (index, worker) in control.workers.iter().enumerate() {
        let (reply, told) = oneshot::channel();
        if ask(worker, Inquiry::Drop(reply), told).await.is_none() {
            return format!("error thread {index} does not answer\n");
        }
    }
    "ok\n".to_owned()
}

async fn ask<T>(
    worker: &tokio::sync::mpsc::Sender<Inquiry>,
    inquiry: Inquiry,
    told: oneshot::Receiver<T>,
) -> Option<T> {
    let answer = async {
        worker.send(inquiry).await.ok()?;
        told.await.ok()
    };
    timeout(PATIENCE, answer).await.ok().flatten()
}
