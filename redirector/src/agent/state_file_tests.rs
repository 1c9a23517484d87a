//! Files as they are found, and what is left of them.

use std::os::unix::fs::symlink;

use super::*;

const GOOD: &str = r#"{ "format": "redirector-state", "version": 1, "overrides": [
    { "group": "cache", "server": "r2", "weight": { "value": 5, "since": 1800000000, "uid": 0, "pid": 7 } } ] }"#;

fn good() -> Document {
    Document::parse(GOOD.as_bytes()).unwrap()
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_written_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/state.json");
    let (file, found) = StateFile::open(&path);
    assert_eq!((found.document, found.warning), (Document::default(), None), "no file is no harm");
    for document in [good(), Document::default(), good()] {
        file.write(&document).unwrap();
        let (_, found) = StateFile::open(&path);
        assert_eq!((found.document, found.warning), (document, None));
    }
    assert_eq!(files(path.parent().unwrap()), ["state.json"]);
}

#[test]
fn bad_files_are_moved_aside_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    for (text, aside, why) in [
        (&GOOD[..30], "state.json.bad", "it is damaged"),
        ("[]", "state.json.bad.1", "it is not a state file"),
        (r#"{"format":"redirector-state","version":9}"#, "state.json.bad.2", "it is of version 9"),
    ] {
        fs::write(&path, text).unwrap();
        let (file, found) = StateFile::open(&path);
        assert_eq!(found.document, Document::default());
        let warning = found.warning.unwrap();
        assert!(warning.contains(why) && warning.contains(aside), "{warning}");
        assert!(!path.exists());
        assert_eq!(fs::read_to_string(folder.path().join(aside)).unwrap(), text);
        file.write(&good()).unwrap();
    }
    let (_, found) = StateFile::open(&path);
    assert_eq!((found.document, found.warning), (good(), None));
}

/// A device, a folder: it stays, and nothing is written in its place.
#[test]
fn what_is_no_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (device, inner) = (folder.path().join("device"), folder.path().join("folder"));
    symlink("/dev/null", &device).unwrap();
    fs::create_dir(&inner).unwrap();
    for path in [&device, &inner] {
        let (file, found) = StateFile::open(path);
        assert!(found.warning.unwrap().contains("it is not an ordinary file"));
        assert!(file.write(&good()).unwrap_err().contains("cannot be moved aside"));
    }
    assert_eq!(files(folder.path()), ["device", "folder"]);
}

#[test]
fn a_write_that_fails_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let (file, _) = StateFile::open(&path);
    file.write(&good()).unwrap();
    // Root may write anywhere, but not through a folder in the way.
    fs::create_dir(folder.path().join("state.json.new")).unwrap();
    let sentence = file.write(&Document::default()).unwrap_err();
    assert!(sentence.starts_with(&format!("cannot write {}: ", path.display())), "{sentence}");
    assert_eq!(StateFile::open(&path).1.document, good());

    // What an agent has left that was killed while it wrote is in nobody's way.
    fs::remove_dir(folder.path().join("state.json.new")).unwrap();
    fs::write(folder.path().join("state.json.new"), "half").unwrap();
    file.write(&Document::default()).unwrap();
    assert_eq!(files(folder.path()), ["state.json"]);
}
