//! The log of an engine: one that goes on, or one that ends at a point and is only read.

use std::path::Path;

use florin_core::replay::ReplayError;
use florin_wal::{
    DataLock, Frame, GroupTimes, LogFailure, LogOptions, LogReader, LogWriter, PastLog, Point, RecoverError, Recovered,
    RecoveryReport, recover, recover_upto,
};

use crate::start::StartError;

/// A log that was read, up to its end or its point.
pub(crate) enum Opened {
    Whole(Box<Recovered>),
    Past(Box<PastLog>),
}

/// Where rounds go.
pub(crate) enum Log {
    /// To the writer; none once the log is closed.
    Written(Option<LogWriter>),
    /// Nowhere: the ledger is as of a point. The lock is held as long as it is served.
    Read(Option<DataLock>),
}

impl Opened {
    /// Reads the log in a data directory.
    pub(crate) fn open(
        data: &Path,
        lock: DataLock,
        options: LogOptions,
        point: Option<&Point>,
        apply: &mut dyn FnMut(Frame<'_>) -> Result<(), ReplayError>,
    ) -> Result<Opened, RecoverError<ReplayError>> {
        Ok(match point {
            Some(point) => Opened::Past(Box::new(recover_upto(data, lock, point, apply)?)),
            None => Opened::Whole(Box::new(recover(data, lock, options, apply)?)),
        })
    }

    /// What was found.
    pub(crate) fn report(&self) -> &RecoveryReport {
        match self {
            Opened::Whole(recovered) => recovered.report(),
            Opened::Past(past) => &past.report,
        }
    }

    /// Largest frame, in bytes; of a log that is not written any.
    pub(crate) fn frame_bytes_max(&self) -> usize {
        match self {
            Opened::Whole(recovered) => recovered.frame_bytes_max(),
            Opened::Past(_) => usize::MAX,
        }
    }

    /// Starts the writer, if there is to be one.
    pub(crate) fn start(
        self,
        on_durable: Box<dyn Fn(u64, GroupTimes) + Send>,
        on_failure: Box<dyn FnOnce(LogFailure) + Send>,
    ) -> Result<(Log, LogReader), StartError> {
        match self {
            Opened::Whole(recovered) => {
                let (writer, reader) = recovered.start(on_durable, on_failure)?;
                Ok((Log::Written(Some(writer)), reader))
            }
            Opened::Past(past) => {
                let PastLog { reader, lock, .. } = *past;
                Ok((Log::Read(Some(lock)), reader))
            }
        }
    }
}

impl Log {
    /// The writer, as long as there is one.
    pub(crate) fn writer(&self) -> Option<&LogWriter> {
        match self {
            Log::Written(writer) => writer.as_ref(),
            Log::Read(_) => None,
        }
    }

    /// Whether it is never written.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self, Log::Read(_))
    }

    /// Seals what is written and gives the folder free.
    pub(crate) fn close(&mut self) -> Result<(), LogFailure> {
        match self {
            Log::Written(writer) => writer.take().map_or(Ok(()), LogWriter::shutdown),
            Log::Read(lock) => {
                drop(lock.take());
                Ok(())
            }
        }
    }
}
