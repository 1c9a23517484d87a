//! Writes the operator's orders beside the agent: a slow disk must not hold up a switch.

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, spawn_blocking},
};
use tracing::warn;

use super::{overrides::Document, state_file::StateFile};
use crate::control::Answer;

/// An answer that waits until what it promises is on disk.
struct Save {
    document: Document,
    answer: Answer,
    reply: oneshot::Sender<Answer>,
}

/// What `status` has to say about the state file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Concerns {
    /// The file found at the start was of no use.
    bad: Option<String>,
    /// Entries of servers that the configuration does not have. They go with the next write.
    unknown: Option<String>,
    /// The last write failed.
    unsaved: Option<String>,
}

#[derive(Debug)]
pub(super) struct Keeper {
    /// Each waits for an answer on a connection of its own, which bounds them.
    saves: Option<mpsc::UnboundedSender<Save>>,
    task: Option<JoinHandle<()>>,
    concerns: watch::Receiver<Concerns>,
}

impl Keeper {
    /// Without a file nothing is kept, as the configuration wants it.
    pub(super) fn start(file: Option<StateFile>, bad: Option<String>, unknown: &[String]) -> Self {
        let unknown = (!unknown.is_empty()).then(|| {
            format!(
                "the state file has orders for {}, which the configuration does not have; they are left out",
                unknown.join(", ")
            )
        });
        let (concern, concerns) = watch::channel(Concerns { bad, unknown, unsaved: None });
        let mut keeper = Self { saves: None, task: None, concerns };
        for warning in keeper.warnings() {
            warn!("{warning}");
        }
        if let Some(file) = file {
            let (sender, saves) = mpsc::unbounded_channel();
            keeper.saves = Some(sender);
            keeper.task = Some(tokio::spawn(keep(file, saves, concern)));
        }
        keeper
    }

    /// Sends the answer when the orders are on disk; at once where they are not kept.
    pub(super) fn save(&self, document: Document, answer: Answer, reply: oneshot::Sender<Answer>) {
        let save = Save { document, answer, reply };
        let Some(saves) = &self.saves else {
            // The asker may have gone.
            let _ = save.reply.send(save.answer);
            return;
        };
        if let Err(mpsc::error::SendError(save)) = saves.send(save) {
            let _ = save.reply.send(Ok(done_but("the state file is no longer written")));
        }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let Concerns { bad, unknown, unsaved } = self.concerns.borrow().clone();
        let unsaved = unsaved.map(|why| format!("weights and states will not survive a restart: {why}"));
        [bad, unknown, unsaved].into_iter().flatten().collect()
    }

    /// Waits until everything is written.
    pub(super) async fn finish(&mut self) {
        self.saves = None;
        if let Some(task) = self.task.take() {
            // It ends by itself; if it has panicked, its askers have been told.
            let _ = task.await;
        }
    }
}

async fn keep(file: StateFile, mut saves: mpsc::UnboundedReceiver<Save>, concerns: watch::Sender<Concerns>) {
    while let Some(Save { document, answer, reply }) = saves.recv().await {
        let file = file.clone();
        let written = spawn_blocking(move || file.write(&document)).await;
        let written = written.unwrap_or_else(|error| Err(error.to_string()));
        let answer = match &written {
            Ok(()) => answer,
            Err(why) => {
                warn!("weights and states will not survive a restart: {why}");
                answer.map(|_| done_but(why))
            }
        };
        concerns.send_modify(|concerns| {
            if written.is_ok() {
                concerns.unknown = None;
            }
            concerns.unsaved = written.err();
        });
        let _ = reply.send(answer);
    }
}

fn done_but(why: &str) -> String {
    format!("done, but it will not survive a restart of the agent: {why}")
}
