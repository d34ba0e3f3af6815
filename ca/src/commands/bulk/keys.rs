//! Keys and requests, made and checked ahead of their use.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, Scope};
use std::time::Instant;

use super::Work;
use crate::authority::SubjectKey;
use crate::commands::device::Sealing;
use crate::device_list::{DeviceReader, ListedDevice};
use crate::key::KeyError;
use crate::request::DeviceRequestContent;

/// Batches that are read ahead.
const AHEAD: usize = 2;

/// Keys that are made ahead.
const KEYS: usize = 256;

/// Threads that make keys, until there are as many as will be needed.
pub(super) struct Factory<'a> {
    work: &'a Work<'a>,
    sealing: &'a Sealing,
    keys: Receiver<Result<SubjectKey, KeyError>>,
}

impl<'a> Factory<'a> {
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        work: &'a Work<'a>,
        sealing: &'a Sealing,
        wanted: usize,
    ) -> Self
    where
        'a: 'scope,
    {
        let (sender, keys) = sync_channel(KEYS);
        let begun = std::sync::Arc::new(AtomicUsize::new(0));
        for _ in 0..work.jobs.get().min(wanted) {
            let (sender, begun) = (sender.clone(), std::sync::Arc::clone(&begun));
            scope.spawn(move || {
                while begun.fetch_add(1, Ordering::Relaxed) < wanted {
                    if sender.send(sealing.make_key(work.options, work.old)).is_err() {
                        return; // the issuing side gave up
                    }
                }
            });
        }
        Self { work, sealing, keys }
    }

    /// The next key, when it is there by this time.
    pub(super) fn key_by(&self, due: Option<Instant>) -> Option<Result<SubjectKey, KeyError>> {
        let Some(due) = due else { return Some(self.key()) };
        match self.keys.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(key) => Some(key),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(self.key()),
        }
    }

    /// The next key; made here when more are needed than was foreseen.
    pub(super) fn key(&self) -> Result<SubjectKey, KeyError> {
        self.keys.recv().unwrap_or_else(|_all_used| self.sealing.make_key(self.work.options, self.work.old))
    }
}

/// A line of the list with the key of its request, or what is wrong with that; nothing when a key is to be made.
pub(super) struct Ready {
    pub(super) device: ListedDevice,
    pub(super) request: Option<Result<SubjectKey, String>>,
}

/// Reads the list in chunks; requests are checked on as many threads as there are jobs.
pub(super) fn read_ahead<'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: &'scope Work<'scope>,
    lines: &'scope mut DeviceReader,
    has_requests: bool,
) -> Receiver<Vec<Ready>> {
    let (sender, chunks) = sync_channel(AHEAD);
    scope.spawn(move || {
        loop {
            // What cannot be read was refused at the first reading; a list that changed since is not looked at further.
            let size = work.batch.load(Ordering::Relaxed);
            let devices: Vec<ListedDevice> = lines.by_ref().map_while(Result::ok).take(size).collect();
            if devices.is_empty() {
                return;
            }
            let chunk = if has_requests { check(work, devices) } else { plain(devices) };
            if sender.send(chunk).is_err() {
                return;
            }
        }
    });
    chunks
}

fn plain(devices: Vec<ListedDevice>) -> Vec<Ready> {
    devices.into_iter().map(|device| Ready { device, request: None }).collect()
}

fn check(work: &Work<'_>, devices: Vec<ListedDevice>) -> Vec<Ready> {
    let part = devices.len().div_ceil(work.jobs.get()).max(1);
    let checked: Vec<Option<Result<SubjectKey, String>>> = thread::scope(|scope| {
        let parts: Vec<_> = devices
            .chunks(part)
            .map(|part| {
                (
                    part.len(),
                    scope.spawn(move || part.iter().map(|device| request(work, device)).collect::<Vec<_>>()),
                )
            })
            .collect();
        parts
            .into_iter()
            .flat_map(|(length, part)| {
                part.join().unwrap_or_else(|_panic| {
                    std::iter::repeat_with(|| Some(Err("the request could not be read".to_owned())))
                        .take(length)
                        .collect()
                })
            })
            .collect()
    });
    devices.into_iter().zip(checked).map(|(device, request)| Ready { device, request }).collect()
}

fn request(work: &Work<'_>, device: &ListedDevice) -> Option<Result<SubjectKey, String>> {
    let source = device.request.as_ref()?;
    let key = source.read().and_then(|content| {
        let request =
            DeviceRequestContent::read(&content).map_err(|error| crate::printer::with_causes(&error))?;
        work.blocklist.check(&request.public_key).map_err(|error| error.to_string())?;
        Ok(SubjectKey::from_device_request(&request))
    });
    Some(key)
}
