use std::io::Read as _;
use std::time::Duration;

use flate2::read::GzDecoder;
use tempfile::TempDir;

use super::super::Keep;
use super::*;

/// 2026-11-23 02:25:11 UTC, and ever a minute later.
fn minutes() -> SystemTime {
    use std::sync::atomic::{AtomicU64, Ordering};
    static MINUTE: AtomicU64 = AtomicU64::new(0);
    let minute = MINUTE.fetch_add(1, Ordering::Relaxed);
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_400_711 + minute * 60)
}

fn standing_still() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_400_711)
}

fn rotation() -> Rotation {
    Rotation { size: Some(1000), age: None, keep: Keep::default(), compress: false }
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = folder
        .path()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Everything in the files, oldest first, compressed or not.
fn all_text(folder: &TempDir) -> String {
    let mut old: Vec<_> = names(folder).into_iter().filter(|name| name != "audit.jsonl").collect();
    old.sort_by_key(|name| {
        let stamp = name.trim_start_matches("audit.jsonl.").trim_end_matches(".gz");
        let (time, number) = stamp.split_once('-').unwrap_or((stamp, "0"));
        (time.to_owned(), number.parse::<u32>().unwrap())
    });
    let mut text = String::new();
    for name in old.iter().map(String::as_str).chain(["audit.jsonl"]) {
        let mut file = File::open(folder.path().join(name)).unwrap();
        if name.ends_with(".gz") {
            GzDecoder::new(file).read_to_string(&mut text).unwrap();
        } else {
            file.read_to_string(&mut text).unwrap();
        }
    }
    text
}

fn write_all(sink: &mut FileSink, mut lines: &[u8]) {
    while !lines.is_empty() {
        let written = sink.append(lines).unwrap();
        lines = &lines[written..];
    }
}

fn lines(from: u32, to: u32) -> Vec<u8> {
    (from..to).map(|number| format!("{{\"record\":{number:080}}}\n")).collect::<String>().into_bytes()
}

#[test]
fn a_file_is_rotated_before_it_grows_too_large_and_only_between_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut sink = FileSink::rotating(&path, rotation(), standing_still).unwrap();
    write_all(&mut sink, &lines(0, 100));
    drop(sink);
    assert_eq!(all_text(&folder).into_bytes(), lines(0, 100));
    let names = names(&folder);
    assert_eq!(names.len(), 10, "{names:?}");
    assert_eq!(names[1], "audit.jsonl.20261123T022511Z");
    assert!(names.contains(&"audit.jsonl.20261123T022511Z-8".to_owned()), "each has a name of its own");
    for name in names {
        let text = fs::read(folder.path().join(name)).unwrap();
        assert!(text.len() <= 1000 && text.ends_with(b"\n"));
    }
}

#[test]
fn a_line_longer_than_the_limit_has_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut sink = FileSink::rotating(&path, rotation(), standing_still).unwrap();
    let long = format!("{}\n", "x".repeat(3000));
    write_all(&mut sink, format!("one\n{long}two\n").as_bytes());
    drop(sink);
    assert_eq!(all_text(&folder), format!("one\n{long}two\n"));
    assert_eq!(names(&folder).len(), 3);
}

#[test]
fn a_file_is_rotated_by_age_and_the_old_ones_are_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let by_age = Rotation { size: None, age: Some(Duration::from_secs(150)), compress: true, ..rotation() };
    let mut sink = FileSink::rotating(&path, by_age, minutes).unwrap();
    assert!(sink.has_ticks());
    for number in 0..10 {
        write_all(&mut sink, &lines(number, number + 1));
        sink.tick();
    }
    drop(sink);
    assert_eq!(all_text(&folder).into_bytes(), lines(0, 10));
    let old = names(&folder);
    assert!(old.len() > 3, "{old:?}");
    assert!(old[1..].iter().all(|name| name.ends_with("Z.gz")), "{old:?}");
}

#[test]
fn an_empty_file_is_not_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let by_age = Rotation { age: Some(Duration::from_secs(1)), ..rotation() };
    let mut sink = FileSink::rotating(&path, by_age, minutes).unwrap();
    (0..5).for_each(|_| sink.tick());
    drop(sink);
    assert_eq!(names(&folder), ["audit.jsonl"]);
}

#[test]
fn old_files_beyond_the_number_the_size_or_the_age_are_deleted_and_other_files_are_not() {
    let others = ["audit.jsonl.1", "audit.jsonl.bak", "audit.jsonl.20261123T022511Z.asc", "other.jsonl"];
    for (keep, left) in [
        (Keep { files: Some(3), ..Keep::default() }, 3),
        (Keep { size: Some(4500), ..Keep::default() }, 4),
        (Keep { age: Some(Duration::from_secs(1)), ..Keep::default() }, 10),
        (Keep::default(), 10),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        others.iter().for_each(|name| drop(File::create(folder.path().join(name)).unwrap()));
        let older = "audit.jsonl.20251123T022511Z.gz";
        File::create(folder.path().join(older)).unwrap();
        let mut sink = FileSink::rotating(&path, Rotation { keep, ..rotation() }, standing_still).unwrap();
        write_all(&mut sink, &lines(0, 100));
        write_all(&mut sink, &lines(0, 10));
        drop(sink);
        let names = names(&folder);
        assert!(others.iter().all(|other| names.iter().any(|name| name == other)), "{keep:?} {names:?}");
        let old = names.iter().filter(|name| name.starts_with("audit.jsonl.2026") && !name.ends_with("asc"));
        assert_eq!(old.count(), left, "{keep:?} {names:?}");
        assert_eq!(names.iter().any(|name| name == older), keep == Keep::default(), "{keep:?}");
    }
}

#[test]
fn what_an_earlier_start_left_uncompressed_is_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let left = folder.path().join("audit.jsonl.20251123T022511Z");
    File::create(&left).unwrap().write_all(b"{}\n").unwrap();
    drop(FileSink::rotating(&path, Rotation { compress: true, ..rotation() }, standing_still).unwrap());
    assert_eq!(names(&folder), ["audit.jsonl", "audit.jsonl.20251123T022511Z.gz"]);
    assert_eq!(all_text(&folder), "{}\n");
}

#[test]
fn a_file_that_was_large_before_the_start_is_rotated_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    File::create(&path).unwrap().write_all(&lines(0, 20)).unwrap();
    let mut sink = FileSink::rotating(&path, rotation(), standing_still).unwrap();
    write_all(&mut sink, &lines(20, 21));
    drop(sink);
    assert_eq!(fs::read(&path).unwrap(), lines(20, 21));
    assert_eq!(all_text(&folder).into_bytes(), lines(0, 21));
}

#[test]
fn where_the_file_cannot_be_moved_away_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut sink = FileSink::rotating(&path, rotation(), standing_still).unwrap();
    write_all(&mut sink, &lines(0, 5));
    fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    write_all(&mut sink, &lines(5, 100));
    assert_eq!(fs::read(folder.path().join("elsewhere")).unwrap(), lines(0, 100));
    sink.reopen().unwrap();
    write_all(&mut sink, &lines(0, 1));
    assert_eq!(fs::read(&path).unwrap(), lines(0, 1));
}

#[test]
fn a_file_that_somebody_else_put_there_has_its_own_age() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static SECOND: AtomicU64 = AtomicU64::new(0);
    fn clock() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_400_711 + SECOND.load(Ordering::Relaxed))
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let rotation = Rotation { size: None, age: Some(Duration::from_secs(100)), ..rotation() };
    let mut sink = FileSink::rotating(&path, rotation, clock).unwrap();
    write_all(&mut sink, b"{}\n");
    SECOND.store(90, Ordering::Relaxed);
    fs::rename(&path, folder.path().join("moved")).unwrap();
    sink.reopen().unwrap();
    write_all(&mut sink, b"{}\n");
    SECOND.store(120, Ordering::Relaxed);
    sink.tick();
    assert_eq!(names(&folder), ["audit.jsonl", "moved"], "thirty seconds old");
    SECOND.store(190, Ordering::Relaxed);
    sink.tick();
    assert_eq!(names(&folder).len(), 3);
}
