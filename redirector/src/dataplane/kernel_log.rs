//! What the programs have to say: only that something is wrong with themselves, never a word per packet.

use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::{Interest, unix::AsyncFd};
use tracing::warn;

/// Passes the programs' messages on to the agent's log, in a task of the current runtime.
pub(super) fn follow(ebpf: &mut Ebpf) {
    let logger = EbpfLogger::init(ebpf).map_err(|error| error.to_string());
    let logger = logger.and_then(|logger| {
        // SAFETY: the logger owns its ring buffer, and with it the descriptor, until both are dropped together.
        unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) }
            .map_err(|error| error.to_string())
    });
    match logger {
        Ok(mut logger) => {
            tokio::spawn(async move {
                while let Ok(mut ready) = logger.readable_mut().await {
                    ready.get_inner_mut().flush();
                    ready.clear_ready();
                }
            });
        }
        Err(error) => warn!(error, "the programs' own messages will not be seen"),
    }
}
