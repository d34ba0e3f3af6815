//! Asks the audit database on threads of its own, so that a slow disk or a server that is away holds up nobody but who asked.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::audit::{AuditDatabase, DatabaseError, DatabaseUrl};

/// Connections to the database, and questions it answers at once.
const READERS: usize = 2;
/// Questions that may wait for a reader.
const WAITING: usize = 16;
/// How long an answer may take, waiting included.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// An audit database that is asked from asynchronous code. Its threads end when it is dropped.
#[derive(Debug)]
pub(super) struct Archive {
    url: DatabaseUrl,
    questions: SyncSender<Question>,
}

/// A question on its way to a reader.
type Question = Box<dyn FnOnce(&mut Reader) + Send>;

/// One thread's connection, once it has one.
#[derive(Debug)]
struct Reader {
    url: DatabaseUrl,
    database: Option<AuditDatabase>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Away {
    /// Too many have asked.
    #[error("too many questions are waiting for the audit database; try again in a moment")]
    Busy,
    /// It refused, or cannot be reached.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// It took too long.
    #[error("the audit database did not answer within {} seconds", PATIENCE.as_secs())]
    Late,
    /// No thread is left to ask it.
    #[error("the system gave no thread to ask the audit database")]
    NoReader,
}

impl Archive {
    /// Connects when the first question comes.
    pub(super) fn new(url: DatabaseUrl) -> Self {
        let (questions, waiting) = sync_channel(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..READERS {
            let (waiting, reader) = (Arc::clone(&waiting), Reader { url: url.clone(), database: None });
            let started =
                thread::Builder::new().name("audit-reader".to_owned()).spawn(move || reader.run(&waiting));
            if let Err(error) = started {
                tracing::warn!(%error, "no thread for reading the audit database");
            }
        }
        Self { url, questions }
    }

    /// Which database it is; without a password.
    pub(super) const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Asks, and waits for the answer. The question is asked twice if a connection turns out to be gone.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&mut AuditDatabase) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, Away> {
        let deadline = Instant::now() + PATIENCE;
        let (answer, answered) = oneshot::channel();
        let asked: Question = Box::new(move |reader| {
            // Whoever asked may be gone by the time it is their turn.
            if !answer.is_closed() {
                let _ = answer.send(reader.answer(deadline, &question));
            }
        });
        self.questions.try_send(asked).map_err(|refused| match refused {
            TrySendError::Full(_) => Away::Busy,
            TrySendError::Disconnected(_) => Away::NoReader,
        })?;
        match tokio::time::timeout_at(deadline.into(), answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Away::NoReader),
            Err(_) => Err(Away::Late),
        }
    }
}

impl Reader {
    fn run(mut self, waiting: &Mutex<Receiver<Question>>) {
        loop {
            // The other reader waits for the lock instead of the question, which is the same to it.
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(question) = next else { return };
            question(&mut self);
        }
    }

    fn answer<T>(
        &mut self,
        deadline: Instant,
        question: &impl Fn(&mut AuditDatabase) -> Result<T, DatabaseError>,
    ) -> Result<T, Away> {
        let was_open = self.database.is_some();
        let mut answer = self.try_once(deadline, question);
        if answer.is_err() && was_open && Instant::now() < deadline {
            // The server may have been started again, or the file replaced.
            answer = self.try_once(deadline, question);
        }
        answer.map_err(|error| if Instant::now() >= deadline { Away::Late } else { Away::Database(error) })
    }

    fn try_once<T>(
        &mut self,
        deadline: Instant,
        question: &impl Fn(&mut AuditDatabase) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let mut database = match self.database.take() {
            Some(mut database) => {
                database.reconnect_if_replaced()?;
                database
            }
            None => AuditDatabase::open_to_read(&self.url)?,
        };
        database.give_up_at(deadline)?;
        let answer = question(&mut database)?;
        self.database = Some(database);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::audit::database::testing::Server;
    use crate::audit::database::tests::{batch, lines};
    use crate::audit::query::Filter;

    const GAP: &str = r#""event":"gap","count":1"#;

    fn url(folder: &Path) -> DatabaseUrl {
        DatabaseUrl::parse("sqlite:audit.db", folder).unwrap()
    }

    async fn count(archive: &Archive) -> Result<usize, Away> {
        archive.ask(|database| Ok(database.records(&Filter::default(), 100)?.len())).await
    }

    #[tokio::test]
    async fn a_database_that_comes_later_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(url(folder.path()));
        let away = count(&archive).await.unwrap_err();
        assert!(matches!(away, Away::Database(DatabaseError::File { .. })), "{away}");
        let mut writer = AuditDatabase::open(&url(folder.path())).unwrap();
        writer.append(batch(1), lines(1_795_400_000, &[GAP, GAP]).as_bytes()).unwrap();
        assert_eq!(count(&archive).await.unwrap(), 2);
        writer.append(batch(2), lines(1_795_400_009, &[GAP]).as_bytes()).unwrap();
        assert_eq!(count(&archive).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_database_in_the_place_of_another_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(url(folder.path()));
        let mut writer = AuditDatabase::open(&url(folder.path())).unwrap();
        writer.append(batch(1), lines(1_795_400_000, &[GAP, GAP]).as_bytes()).unwrap();
        assert_eq!(count(&archive).await.unwrap(), 2);
        drop(writer);
        std::fs::remove_file(folder.path().join("audit.db")).unwrap();
        assert!(matches!(count(&archive).await, Err(Away::Database(DatabaseError::File { .. }))));
        drop(AuditDatabase::open(&url(folder.path())).unwrap());
        assert_eq!(count(&archive).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_question_that_takes_too_long_is_given_up_and_the_next_one_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        AuditDatabase::open(&url(folder.path())).unwrap();
        let archive = Archive::new(url(folder.path()));
        let forever =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let ask = || archive.ask(move |database| database.run_for_tests(forever));
        let began = Instant::now();
        let (one, other, third) = tokio::join!(ask(), ask(), ask());
        assert!(matches!((one, other, third), (Err(Away::Late), Err(Away::Late), Err(Away::Late))));
        assert!(began.elapsed() < PATIENCE * 2);
        assert_eq!(count(&archive).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_server_that_was_started_again_is_asked_again() {
        let Some(server) = Server::start() else { return };
        let url = server.url();
        thread::spawn(move || drop(AuditDatabase::open(&url).unwrap())).join().unwrap();
        let archive = Archive::new(server.url());
        assert_eq!(count(&archive).await.unwrap(), 0);
        server.stop();
        assert!(matches!(count(&archive).await, Err(Away::Database(_))));
        server.again();
        assert_eq!(count(&archive).await.unwrap(), 0);
        drop(archive); // on the runtime, where a connection must not be closed
    }
}
