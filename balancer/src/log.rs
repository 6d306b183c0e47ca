//! The log as a file in memory that only grows at its end. Its beginning is made a hole once it has been read, so it loses
//! no line, needs no rotation, and takes no more memory than it must.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
};

use rustix::fs::{FallocateFlags, fallocate};

const PIECE: u64 = 1 << 20;
/// A line that is longer is none.
const LONGEST_LINE: usize = 64 << 10;

/// One reader of the file.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: Option<File>,
    position: u64,
    freed: u64,
    rest: Vec<u8>,
}

impl Log {
    /// Reads what is written from the first call on: what an earlier companion left is given back to memory.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, position: 0, freed: 0, rest: Vec::new() }
    }

    /// Hands on each line that was written since the last call.
    pub fn read(&mut self, mut line: impl FnMut(&str)) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => match File::options().read(true).write(true).open(&self.path) {
                Ok(mut file) => {
                    self.position = file.seek(SeekFrom::End(0))?;
                    file
                }
                // nginx has not started yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        let mut bytes = vec![0; 64 << 10];
        loop {
            let length = file.read(&mut bytes)?;
            if length == 0 {
                break;
            }
            self.position += length as u64;
            self.rest.extend_from_slice(&bytes[..length]);
            let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            String::from_utf8_lossy(&self.rest[..whole]).lines().for_each(&mut line);
            self.rest.drain(..whole);
            if self.rest.len() > LONGEST_LINE {
                self.rest.clear();
            }
        }
        if self.position - self.freed >= PIECE {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(&file, hole, self.freed, self.position - self.freed)?;
            self.freed = self.position;
        }
        self.file = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::MetadataExt};

    use super::*;

    #[test]
    fn every_line_is_read_once_and_its_memory_given_back() {
        let path = std::path::Path::new("/dev/shm").join(format!("companion-log-{}", std::process::id()));
        let mut log = Log::new(path.clone());
        let mut lines = Vec::new();
        log.read(|line| lines.push(line.to_owned())).unwrap();
        let mut nginx = File::options().create(true).append(true).open(&path).unwrap();
        nginx.write_all(b"of an earlier companion\n").unwrap();
        log.read(|line| lines.push(line.to_owned())).unwrap();
        nginx.write_all(b"one\ntw").unwrap();
        log.read(|line| lines.push(line.to_owned())).unwrap();
        nginx.write_all(b"o\n").unwrap();
        log.read(|line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["one", "two"]);

        nginx.write_all("x".repeat(3 << 20).as_bytes()).unwrap();
        nginx.write_all(b"\nthree\n").unwrap();
        log.read(|line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines.last().unwrap(), "three");
        let file = std::fs::metadata(&path).unwrap();
        assert!(file.len() > 3 << 20 && file.blocks() * 512 < 1 << 20, "{} blocks", file.blocks());
        std::fs::remove_file(path).unwrap();
    }
}
