//! Files that somebody still writes: what is new in them since the last look, over rotation and restarts.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use model::{CoverageTable, FlowBatch};
use serde::{Deserialize, Serialize};

use crate::error::IntakeError;
use crate::ledger::Summary;
use crate::source::{FlowReader, Input, Resume, find, open};

/// How many bytes at its beginning tell one file from another that has taken its name, or its place on the disk.
const MARK_BYTES: u64 = 4_096;

/// A file that is followed, as `tail -F` does: by name, so that a rotated log is finished and its successor taken up.
///
/// Nothing is read twice and nothing skipped, over restarts too, if the [`Position`] is stored together with the flows.
/// After a restart a file that was rotated away meanwhile is looked for beside its successor, by what it begins with.
pub struct Tail {
    path: PathBuf,
    format: String,
    position: Option<Position>,
    /// The file that is being read; it stays the same one when its name is given to another.
    file: Option<File>,
    /// What was read and lost, over everything that was followed.
    summary: Summary,
    /// What was received and lost since it was last asked for.
    fresh: CoverageTable,
}

/// How far a followed file was read; to be stored with the flows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The format that the file is in.
    format: String,
    /// CRC-32 of what the file begins with, up to [`MARK_BYTES`] of what was read of it.
    mark: u32,
    resume: Resume,
}

/// What a look at a followed file found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Nothing new, or no file.
    Nothing,
    /// New records were read; the position has moved.
    New,
    /// As many records were read as were asked for; there is more.
    More,
    /// The file has ended: another has its name now, and will be read with the next look.
    Rotated,
}

impl Tail {
    /// Follows a file from a position, or from its beginning. The format may be `auto`. The file need not be there yet.
    pub fn new(format: &str, path: &Path, position: Option<Position>) -> Self {
        Self {
            path: path.to_path_buf(),
            format: format.to_owned(),
            position,
            file: None,
            summary: Summary::default(),
            fresh: CoverageTable::default(),
        }
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How far it was read: what to store together with the flows given out so far.
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// What was read and lost.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// What was received and lost since it was last asked for, by observer and hour.
    pub fn take_coverage(&mut self) -> CoverageTable {
        std::mem::take(&mut self.fresh)
    }

    /// Reads what is new, up to about so many rows, and gives it out in batches, each with the position behind its last record: what was given out so
    /// far and that position belong together.
    ///
    /// # Errors
    /// When the file cannot be read, is in no known format or in one that cannot be taken up where it was left, or with
    /// the first error of `give`.
    pub fn look<E: From<IntakeError>>(
        &mut self,
        most_rows: usize,
        mut give: impl FnMut(&mut FlowBatch, &Position) -> Result<(), E>,
    ) -> Result<Looked, E> {
        if self.file.is_none() && !self.find_file()? {
            return Ok(Looked::Nothing);
        }
        let rotated = self.name_has_moved()?;
        // Whoever renamed the file may have written to it until just now: looked at after its name, it is complete.
        let read = self.read(rotated, most_rows, &mut give)?;
        if rotated && read != Looked::More {
            (self.file, self.position) = (None, None);
            return Ok(Looked::Rotated);
        }
        Ok(read)
    }

    /// Opens the file that the position speaks of, or the one that has the name. `false` when there is none.
    fn find_file(&mut self) -> Result<bool, IntakeError> {
        let named = self.open(&self.path)?;
        let Some(position) = &self.position else {
            self.file = named;
            return Ok(self.file.is_some());
        };
        for candidate in named
            .into_iter()
            .map(Ok)
            .chain(self.neighbours().map(|path| self.open(&path)).filter_map(Result::transpose))
        {
            let mut candidate = candidate?;
            if position.is_in(&mut candidate).map_err(|source| self.unreadable(source))? {
                self.file = Some(candidate);
                return Ok(true);
            }
        }
        // It is gone for good: what was not read of it is lost, and its successor is read from the beginning.
        self.position = None;
        self.file = self.open(&self.path)?;
        Ok(self.file.is_some())
    }

    /// Files that log rotation may have made of the one that is followed: they begin with its name, and are not packed.
    fn neighbours(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let folder =
            self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| {
                let other = path.file_name().map(|name| name.to_string_lossy().into_owned());
                other.is_some_and(|other| other.starts_with(&name) && other != name) && path.is_file()
            })
            .collect();
        paths.sort();
        paths.into_iter()
    }

    fn open(&self, path: &Path) -> Result<Option<File>, IntakeError> {
        match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(IntakeError::Io { action: "open", file: path.display().to_string(), source }),
        }
    }

    /// Whether the name now belongs to another file, or to the same one cut to less than was read (`copytruncate`).
    fn name_has_moved(&mut self) -> Result<bool, IntakeError> {
        let Some(file) = &mut self.file else { return Ok(false) };
        let read = self.position.as_ref().map_or(0, |position| position.resume.offset);
        let moved = (|| {
            if file.metadata()?.len() < read {
                return Ok(true);
            }
            match File::open(&self.path) {
                Ok(named) => Ok(!same(file, &named)?),
                // Renamed, and nothing in its place yet: it may still be written to.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            }
        })();
        moved.map_err(|source| self.unreadable(source))
    }

    fn read<E: From<IntakeError>>(
        &mut self,
        complete: bool,
        most_rows: usize,
        give: &mut impl FnMut(&mut FlowBatch, &Position) -> Result<(), E>,
    ) -> Result<Looked, E> {
        let Some(file) = &mut self.file else { return Ok(Looked::Nothing) };
        let resume = self.position.as_ref().map(|position| position.resume.clone());
        let from = resume.as_ref().map_or(0, |resume| resume.offset);
        let started = (|| {
            if file.metadata()?.len() <= from {
                return Ok(None);
            }
            let mut begin = Vec::new();
            file.seek(SeekFrom::Start(0))?;
            file.by_ref().take(MARK_BYTES).read_to_end(&mut begin)?;
            file.seek(SeekFrom::Start(from))?;
            Ok(Some((file.try_clone()?, begin)))
        })();
        let Some((bytes, begin)) = started.map_err(|source| self.unreadable(source))? else {
            return Ok(Looked::Nothing);
        };
        let Some(mut reader) = self.reader(bytes, resume, complete)? else { return Ok(Looked::Nothing) };
        let mut batch = FlowBatch::new(reader.source());
        let (mut moved, mut rows) = (false, 0);
        loop {
            let more = reader.read(&mut batch);
            let Some(resume) = reader.resume() else {
                return Err(IntakeError::NotFollowable { file: self.label(), format: reader.source() }.into());
            };
            moved |= resume.offset > from;
            let position =
                Position { format: reader.source().to_owned(), mark: mark(&begin, resume.offset), resume };
            rows += batch.len();
            if !batch.is_empty() {
                give(&mut batch, &position)?;
                batch.clear();
            }
            self.position = Some(position);
            let outcome = match more {
                Ok(true) if rows < most_rows => continue,
                Ok(true) => Ok(Looked::More),
                Ok(false) => Ok(if moved { Looked::New } else { Looked::Nothing }),
                Err(error) => Err(E::from(error)),
            };
            self.summary.merge(reader.summary());
            self.fresh.merge(&reader.summary().coverage());
            return outcome;
        }
    }

    /// `None` while the file holds too little to tell its format by.
    fn reader(
        &self,
        bytes: File,
        resume: Option<Resume>,
        complete: bool,
    ) -> Result<Option<Box<dyn FlowReader>>, IntakeError> {
        let mut input = Input::new(&self.label(), bytes);
        if !complete {
            input = input.growing();
        }
        let known = self.position.as_ref().map(|position| position.format.as_str());
        match resume {
            Some(resume) => {
                let format = known.and_then(find).map_or(self.format.as_str(), |source| source.name);
                open(format, input.resume(resume)).map(Some)
            }
            None if self.format == "auto" => match input.recognise()? {
                Some(source) => (source.open)(input).map(Some),
                None if complete => open("auto", input).map(Some),
                None => Ok(None),
            },
            None => open(&self.format, input).map(Some),
        }
    }

    fn label(&self) -> String {
        self.path.display().to_string()
    }

    fn unreadable(&self, source: io::Error) -> IntakeError {
        IntakeError::Io { action: "read", file: self.label(), source }
    }
}

impl Position {
    /// Whether this is the file: it begins alike, and holds at least what was read.
    fn is_in(&self, file: &mut File) -> io::Result<bool> {
        if file.metadata()?.len() < self.resume.offset {
            return Ok(false);
        }
        let mut begin = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.by_ref().take(MARK_BYTES).read_to_end(&mut begin)?;
        Ok(mark(&begin, self.resume.offset) == self.mark)
    }
}

/// What tells a file by what was read of its beginning: more than that may be written over, as the end of a JSON array is.
fn mark(begin: &[u8], read: u64) -> u32 {
    let sure = begin.len().min(usize::try_from(read).unwrap_or(usize::MAX));
    let mut crc = flate2::Crc::new();
    crc.update(&begin[..sure]);
    crc.sum()
}

#[cfg(unix)]
fn same(one: &File, other: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

#[cfg(not(unix))]
fn same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok(one.created().ok() == other.created().ok())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(port: u16) -> String {
        format!("2 1 eni-1 10.0.0.1 10.0.0.2 49152 {port} 6 3 180 1600000000 1600000060 ACCEPT OK\n")
    }

    fn ports(tail: &mut Tail) -> (Vec<u16>, Looked) {
        let mut ports = Vec::new();
        let looked = tail.look(1_000, |batch, _| {
            ports.extend_from_slice(&batch.dst_port);
            Ok::<(), IntakeError>(())
        });
        (ports, looked.unwrap())
    }

    fn append(path: &Path, text: &str) {
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// A restart: what is known is only what was stored.
    fn again(tail: &Tail) -> Tail {
        let stored = serde_json::to_string(&tail.position()).unwrap();
        Tail::new("auto", tail.path(), serde_json::from_str(&stored).unwrap())
    }

    #[test]
    fn what_is_new_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.log");
        let mut tail = Tail::new("auto", &path, None);
        assert_eq!(ports(&mut tail), (vec![], Looked::Nothing));
        append(&path, &line(1));
        append(&path, &line(2)[..20]);
        assert_eq!(ports(&mut tail), (vec![1], Looked::New));
        assert_eq!(ports(&mut again(&tail)), (vec![], Looked::Nothing), "half a line is left");
        append(&path, &line(2)[20..]);
        assert_eq!(ports(&mut again(&tail)), (vec![2], Looked::New));
        assert_eq!(ports(&mut tail), (vec![2], Looked::New));
        assert_eq!(ports(&mut again(&tail)), (vec![], Looked::Nothing));
    }

    #[test]
    fn a_rotated_file_is_finished_and_its_successor_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("flows.log"), folder.path().join("flows.log.1"));
        let mut tail = Tail::new("auto", &path, None);
        append(&path, &line(1));
        assert_eq!(ports(&mut tail), (vec![1], Looked::New));
        let mut late = again(&tail);
        std::fs::rename(&path, &old).unwrap();
        append(&old, line(2).trim_end());
        append(&path, &line(3));
        assert_eq!(ports(&mut tail), (vec![2], Looked::Rotated), "also a last line without its end");
        assert_eq!(ports(&mut tail), (vec![3], Looked::New));
        // The same when nobody was there to see it.
        assert_eq!(ports(&mut late), (vec![2], Looked::Rotated));
        assert_eq!(ports(&mut late), (vec![3], Looked::New));
    }

    #[test]
    fn a_long_file_is_taken_in_portions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.log");
        append(&path, &(1..20_001).map(line).collect::<String>());
        let mut tail = Tail::new("auto", &path, None);
        let mut all = Vec::new();
        loop {
            let (found, looked) = ports(&mut tail);
            assert!(found.len() < 10_000);
            all.extend(found);
            tail = again(&tail);
            if looked != Looked::More {
                break;
            }
        }
        assert!(all.iter().copied().eq(1..20_001));
    }

    #[test]
    fn a_file_cut_to_nothing_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.log");
        let mut tail = Tail::new("aws-vpc", &path, None);
        append(&path, &[line(1), line(2)].concat());
        assert_eq!(ports(&mut tail), (vec![1, 2], Looked::New));
        File::create(&path).unwrap().write_all(line(3).as_bytes()).unwrap();
        assert_eq!(ports(&mut tail), (vec![], Looked::Rotated));
        assert_eq!(ports(&mut tail), (vec![3], Looked::New));
    }

    #[test]
    fn headers_are_known_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conn.log");
        let head =
            "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\n";
        let row = |port| format!("1600000000.5\t10.0.0.1\t49152\t10.0.0.2\t{port}\ttcp\n");
        append(&path, &format!("{head}{}", row(1)));
        let mut tail = Tail::new("auto", &path, None);
        assert_eq!(ports(&mut tail), (vec![1], Looked::New));
        append(&path, &row(2));
        assert_eq!(ports(&mut again(&tail)), (vec![2], Looked::New));
    }

    #[test]
    fn formats_that_cannot_be_taken_up_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.nf");
        std::fs::write(&path, crate::sources::netflow::tests::sample_v9()).unwrap();
        let refused = Tail::new("auto", &path, None).look(1_000, |_, _| Ok::<(), IntakeError>(()));
        assert!(refused.unwrap_err().to_string().contains("cannot be followed"));
    }
}
