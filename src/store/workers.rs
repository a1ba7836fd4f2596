//! Threads that turn blocks into other blocks; the results come back in the order of the blocks,
//! and only so many are in memory.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// What a thread does with a block.
pub(crate) type Work = fn(Vec<u8>) -> io::Result<Vec<u8>>;

struct Job {
    block: Vec<u8>,
    done: SyncSender<io::Result<Vec<u8>>>,
}

/// The threads; they end when this is dropped.
pub(crate) struct Workers {
    threads: usize,
    work: Work,
    jobs: Option<SyncSender<Job>>,
    pending: VecDeque<Receiver<io::Result<Vec<u8>>>>,
}

impl Workers {
    /// So many threads, which begin with the first block.
    pub(crate) fn new(threads: usize, work: Work) -> Self {
        Self { threads: threads.max(1), work, jobs: None, pending: VecDeque::new() }
    }

    /// Whether results should be taken before more is given.
    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() > self.threads * 2
    }

    /// Gives a block.
    ///
    /// # Errors
    /// Where the threads have died.
    pub(crate) fn give(&mut self, block: Vec<u8>) -> io::Result<()> {
        let (threads, work) = (self.threads, self.work);
        let jobs = self.jobs.get_or_insert_with(|| start(threads, work));
        let (done, result) = sync_channel(1);
        jobs.send(Job { block, done }).map_err(|_| ended())?;
        self.pending.push_back(result);
        Ok(())
    }

    /// Takes the next result; nothing where all are taken.
    pub(crate) fn take(&mut self) -> Option<io::Result<Vec<u8>>> {
        let done = self.pending.pop_front()?;
        Some(done.recv().unwrap_or_else(|_| Err(ended())))
    }
}

fn start(threads: usize, work: Work) -> SyncSender<Job> {
    let (jobs, queue) = sync_channel::<Job>(threads);
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..threads {
        let queue = Arc::clone(&queue);
        thread::spawn(move || run(&queue, work));
    }
    jobs
}

fn run(queue: &Mutex<Receiver<Job>>, work: Work) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, done }) = job else { return };
        // Nobody listens where the other side has failed and was dropped.
        drop(done.send(work(block)));
    }
}

fn ended() -> io::Error {
    io::Error::other("a working thread ended")
}
