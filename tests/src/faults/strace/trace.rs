//! What strace wrote down of the calls of a server: which one was meddled with, what came after it, and which group was in
//! the log without its sync.

use crate::faults::judge::Stretch;

/// A write or sync of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// The thread, if several were traced.
    pub thread: Option<u32>,
    /// The system call.
    pub name: String,
    /// Ordinal of the segment that it was about, if it was about one.
    pub segment: Option<u64>,
    /// First byte of a write.
    pub offset: u64,
    /// Bytes of a write as they were asked for.
    pub bytes: u64,
    /// strace meddled with it, or it never returned.
    pub is_hit: bool,
}

/// All calls, in order.
#[derive(Debug, Default)]
pub struct Trace(pub Vec<Call>);

impl Trace {
    /// Reads what `strace -y -s0` wrote, of one thread or, with `-f`, of several.
    pub fn parse(text: &str) -> Trace {
        let mut calls: Vec<Call> = vec![];
        for line in text.lines() {
            let (thread, rest) = match line.split_once(' ') {
                Some((first, rest)) if first.parse::<u32>().is_ok() => (first.parse().ok(), rest.trim_start()),
                _ => (None, line),
            };
            if rest.starts_with("<... ") {
                let open = calls.iter_mut().rfind(|call| call.thread == thread);
                open.expect("what resumes was begun").is_hit = rest.contains("(INJECTED)") || rest.ends_with("= ?");
            } else if let Some((name, arguments)) = rest.split_once('(')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            {
                calls.push(Call { thread, name: name.to_string(), ..call(arguments) });
            }
        }
        Trace(calls)
    }

    /// The calls of one thread.
    pub fn of(&self, thread: u32) -> Trace {
        Trace(self.0.iter().filter(|call| call.thread == Some(thread)).cloned().collect())
    }

    /// Place of the first call that was meddled with.
    pub fn hit(&self) -> Option<usize> {
        self.0.iter().position(|call| call.is_hit)
    }

    /// The last group that a writer was at when it met its fault: nobody may hear of what is in it. A fault at the watermark
    /// comes before anybody hears of the group that it follows.
    pub fn unsynced(&self) -> Option<Stretch> {
        let upto = self.hit()?;
        let write = self.0[..=upto].iter().rfind(|call| call.name == "pwrite64" && call.segment.is_some())?;
        let segment = write.segment.expect("it was asked for");
        Some(Stretch { segment, from: write.offset, to: write.offset + write.bytes })
    }
}

/// A call by what stands behind the opening bracket.
fn call(arguments: &str) -> Call {
    let ended = arguments.ends_with("= ?") || arguments.contains("(INJECTED)");
    let file = arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(file, _)| file);
    let segment = file.strip_suffix(".seg").and_then(|file| file.rsplit('/').next()).and_then(|name| name.parse().ok());
    let words: Vec<&str> = arguments.split(", ").collect();
    let number = |place: usize| {
        let word = words.get(place).copied().unwrap_or_default();
        word.split([')', ' ']).next().and_then(|word| word.parse().ok()).unwrap_or(0)
    };
    let (bytes, offset) = (number(2), number(3));
    Call { thread: None, name: String::new(), segment, offset, bytes, is_hit: ended }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_one_thread_are_read_with_the_one_that_failed() {
        let trace = Trace::parse(
            "pwrite64(12</d/log/0000000007.seg>, \"\"..., 4096, 20480) = 4096\n\
             fdatasync(12</d/log/0000000007.seg>) = 0\n\
             pwrite64(12</d/log/0000000007.seg>, \"\"..., 8192, 24576) = 8192\n\
             fdatasync(12</d/log/0000000007.seg>) = -1 EIO (Input/output error) (INJECTED)\n\
             --- SIGABRT {si_signo=SIGABRT, si_code=SI_TKILL, si_pid=580, si_uid=0} ---\n\
             +++ killed by SIGABRT +++\n",
        );
        assert_eq!((trace.0.len(), trace.hit()), (4, Some(3)));
        assert_eq!(trace.unsynced(), Some(Stretch { segment: 7, from: 24_576, to: 32_768 }));
    }

    #[test]
    fn calls_that_others_interrupt_are_put_together_by_their_thread() {
        let trace = Trace::parse(
            "31 pwrite64(11</d/watermark>, \"\"..., 4096, 0 <unfinished ...>\n\
             32 fallocate(13</d/log/0000000003.seg>, FALLOC_FL_KEEP_SIZE, 0, 131072) = -1 ENOSPC (No space) (INJECTED)\n\
             31 <... pwrite64 resumed>) = ?\n\
             31 +++ killed by SIGKILL +++\n",
        );
        assert_eq!(trace.0.len(), 2);
        assert_eq!((trace.of(31).hit(), trace.of(32).hit(), trace.of(33).hit()), (Some(0), Some(0), None));
        assert_eq!(trace.of(31).unsynced(), None, "no group was written");
    }

    #[test]
    fn a_fault_at_the_watermark_is_one_of_the_group_before_it() {
        let trace = Trace::parse(
            "pwrite64(12</d/log/0000000002.seg>, \"\"..., 12288, 0) = 12288\n\
             pwrite64(11</d/watermark>, \"\"..., 4096, 0) = ?\n",
        );
        assert_eq!(trace.unsynced(), Some(Stretch { segment: 2, from: 0, to: 12_288 }));
    }
}
