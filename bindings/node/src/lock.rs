//! A lock between processes: what keeps two of them from refreshing one account's tokens at once.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;

use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Error, Result, Status, Task};
use napi_derive::napi;

/// The system's own lock of a file (flock, or LockFileEx). It excludes every other who locks the file so, as Python's
/// filelock does, and ends with its process, however that ends.
#[napi(js_name = "NativeFileLock")]
pub struct JsFileLock(Option<File>);

#[napi]
impl JsFileLock {
    /// Locks the file, which is made where it is missing; `null` while somebody else holds it. Off JavaScript's thread: a
    /// folder may be on a network.
    #[napi(catch_unwind)]
    pub fn try_lock(path: String) -> AsyncTask<Attempt> {
        AsyncTask::new(Attempt(path.into()))
    }

    /// Lets it go. The file stays: a lock on one that was deleted would exclude nobody.
    #[napi(catch_unwind)]
    pub fn release(&mut self) {
        self.0 = None;
    }
}

/// One attempt to lock a file.
pub struct Attempt(PathBuf);

impl Task for Attempt {
    type Output = Option<File>;
    type JsValue = Option<JsFileLock>;

    fn compute(&mut self) -> Result<Self::Output> {
        locked(&self.0).map_err(|error| Error::new(Status::GenericFailure, error.to_string()))
    }

    fn resolve(&mut self, _: Env, file: Self::Output) -> Result<Self::JsValue> {
        Ok(file.map(|file| JsFileLock(Some(file))))
    }
}

fn locked(path: &PathBuf) -> io::Result<Option<File>> {
    let file = ours_alone(OpenOptions::new().read(true).write(true).create(true)).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(is_there_still(&file)?.then_some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Nobody else may read it.
#[cfg(unix)]
fn ours_alone(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

/// Python's filelock deletes the file when it lets go: not while it is open here (FILE_SHARE_READ and FILE_SHARE_WRITE).
#[cfg(windows)]
fn ours_alone(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::windows::fs::OpenOptionsExt;
    options.share_mode(3)
}

/// False where it was deleted between opening and locking: whoever comes next would lock another file.
#[cfg(unix)]
fn is_there_still(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink() > 0)
}

#[cfg(windows)]
fn is_there_still(_: &File) -> io::Result<bool> {
    Ok(true)
}
