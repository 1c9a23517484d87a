//! A listener that is no Redis.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddrV4, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Result;

use crate::lab::Namespace;

/// How a stub treats a connection, once something was said to it.
#[derive(Debug, Clone, Copy)]
pub enum Manners {
    /// Says this, and hangs up.
    Says(&'static str),
    /// Says nothing, and holds the line.
    Silent,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Stub {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stub {
    /// Takes the place of a server that has been killed.
    pub fn listen(namespace: &Namespace, address: SocketAddrV4, manners: Manners) -> Result<Self> {
        let listener = namespace.enter(|| Ok(TcpListener::bind(address)?))?;
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || serve(&listener, manners, &stop)
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, manners: Manners, stop: &AtomicBool) {
    let mut held = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => match manners {
                // A caller that has gone needs no answer.
                Manners::Says(words) => drop(answer(stream, words)),
                Manners::Silent => held.push(stream),
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(_) => return,
        }
    }
}

fn answer(mut stream: TcpStream, words: &str) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    // All of it: closing with something unread would be a reset.
    let mut heard = [0; 4096];
    if stream.read(&mut heard)? > 0 {
        stream.write_all(words.as_bytes())?;
    }
    Ok(())
}
