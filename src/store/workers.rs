//! Threads that turn blocks into other blocks; the results come back in the order of the blocks,
//! and only so many are in memory. Buffers are used again: what is given back to the system costs
//! a page fault for every 4 KiB the next time.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// What a thread does with a block: it makes another one of it in a buffer, in which there may be anything.
pub(crate) type Work = fn(&[u8], &mut Vec<u8>) -> io::Result<()>;

/// By how much a patient thread's nice value is raised (setpriority(2)): a third of another thread's share.
const PATIENCE: i32 = 5;

struct Job {
    block: Vec<u8>,
    made: Vec<u8>,
    done: SyncSender<Done>,
}

/// The block, for its memory, and what was made of it.
type Done = io::Result<(Vec<u8>, Vec<u8>)>;

/// The threads; they end when this is dropped.
pub(crate) struct Workers {
    threads: usize,
    work: Work,
    patience: i32,
    jobs: Option<SyncSender<Job>>,
    pending: VecDeque<Receiver<Done>>,
    /// Buffers in which there were blocks, and those in which something was made of them.
    blocks: Vec<Vec<u8>>,
    made: Vec<Vec<u8>>,
}

impl Workers {
    /// So many threads, which begin with the first block.
    pub(crate) fn new(threads: usize, work: Work) -> Self {
        let (threads, pending) = (threads.max(1), VecDeque::new());
        let (blocks, made) = (Vec::new(), Vec::new());
        Self { threads, work, patience: 0, jobs: None, pending, blocks, made }
    }

    /// The same, content with what others leave of the processor.
    pub(crate) fn patient(self) -> Self {
        Self { patience: PATIENCE, ..self }
    }

    /// Whether results should be taken before more is given.
    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() > self.threads
    }

    /// A buffer for a block; there may be an earlier one in it.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        self.blocks.pop().unwrap_or_default()
    }

    /// Takes back a result that is not needed any more.
    pub(crate) fn reclaim(&mut self, made: Vec<u8>) {
        self.made.push(made);
    }

    /// Gives a block.
    ///
    /// # Errors
    /// Where the system gives no thread, or the threads have died.
    pub(crate) fn give(&mut self, block: Vec<u8>) -> io::Result<()> {
        let made = self.made.pop().unwrap_or_default();
        let (threads, work, patience) = (self.threads, self.work, self.patience);
        let jobs = match &mut self.jobs {
            Some(jobs) => jobs,
            none => none.insert(start(threads, work, patience)?),
        };
        let (done, result) = sync_channel(1);
        jobs.send(Job { block, made, done }).map_err(|_| ended())?;
        self.pending.push_back(result);
        Ok(())
    }

    /// Takes the next result; nothing where all are taken.
    pub(crate) fn take(&mut self) -> Option<io::Result<Vec<u8>>> {
        let done = self.pending.pop_front()?.recv().unwrap_or_else(|_| Err(ended()));
        Some(done.map(|(block, made)| {
            self.blocks.push(block);
            made
        }))
    }
}

/// Starts threads; fewer do as well.
fn start(threads: usize, work: Work, patience: i32) -> io::Result<SyncSender<Job>> {
    let (jobs, queue) = sync_channel::<Job>(threads);
    let queue = Arc::new(Mutex::new(queue));
    for number in 0..threads {
        let queue = Arc::clone(&queue);
        let started = thread::Builder::new().spawn(move || {
            if patience > 0 {
                // Of this thread alone, on Linux. Where it is refused, the threads share alike.
                let _ = rustix::process::nice(patience);
            }
            run(&queue, work);
        });
        match started {
            Err(error) if number == 0 => return Err(error),
            Err(_) => break,
            Ok(_) => {}
        }
    }
    Ok(jobs)
}

fn run(queue: &Mutex<Receiver<Job>>, work: Work) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, mut made, done }) = job else { return };
        let result = work(&block, &mut made);
        // Nobody listens where the other side has failed and was dropped.
        drop(done.send(result.map(|()| (block, made))));
    }
}

fn ended() -> io::Error {
    io::Error::other("a working thread ended")
}
