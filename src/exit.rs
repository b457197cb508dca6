//! How does a command end? The exit codes of `sysexits.h`, so that systemd and scripts can tell a typo from a crash.

use std::process::ExitCode;

/// Why the program ends. systemd must not restart it after [`Usage`](Exit::Usage), [`Data`](Exit::Data) or
/// [`Config`](Exit::Config): trying again cannot help.
///
/// ```
/// assert_eq!(neurod::exit::Exit::Config.code(), 78);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// 0: it did what it was asked.
    Success,
    /// 64: the command line is wrong.
    Usage,
    /// 65: a recording or a model is not what it should be.
    Data,
    /// 66: an input file is missing or unreadable.
    NoInput,
    /// 69: something it needs is not there: a library, an address that another program holds.
    Unavailable,
    /// 70: a bug in neurod.
    Internal,
    /// 74: reading or writing failed.
    Io,
    /// 75: it may work when tried again.
    Temporary,
    /// 77: the system forbids it.
    Permission,
    /// 78: the configuration is wrong.
    Config,
}

impl Exit {
    /// The code that the shell and systemd see.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Usage => 64,
            Exit::Data => 65,
            Exit::NoInput => 66,
            Exit::Unavailable => 69,
            Exit::Internal => 70,
            Exit::Io => 74,
            Exit::Temporary => 75,
            Exit::Permission => 77,
            Exit::Config => 78,
        }
    }

    /// The exit that a failed system call calls for.
    pub fn from_io(error: &std::io::Error) -> Exit {
        use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, Interrupted, NotFound, PermissionDenied, WouldBlock};
        match error.kind() {
            NotFound => Exit::NoInput,
            PermissionDenied => Exit::Permission,
            AddrInUse | AddrNotAvailable => Exit::Unavailable,
            WouldBlock | Interrupted => Exit::Temporary,
            _ => Exit::Io,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    #[test]
    fn codes_are_those_of_sysexits() {
        use Exit::*;
        let all = [Success, Usage, Data, NoInput, Unavailable, Internal, Io, Temporary, Permission, Config];
        assert_eq!(all.map(Exit::code), [0, 64, 65, 66, 69, 70, 74, 75, 77, 78]);
    }

    #[test]
    fn system_errors_find_their_code() {
        assert_eq!(Exit::from_io(&Error::from(ErrorKind::NotFound)), Exit::NoInput);
        assert_eq!(Exit::from_io(&Error::from(ErrorKind::PermissionDenied)), Exit::Permission);
        assert_eq!(Exit::from_io(&Error::from(ErrorKind::AddrInUse)), Exit::Unavailable);
        assert_eq!(Exit::from_io(&Error::other("disk on fire")), Exit::Io);
    }
}
