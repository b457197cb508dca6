//! What is said on an association? Echoes and stores: their commands, read and written. (PS3.7 §6.3, §9.3, E.1.)
//!
//! A command is a set of elements of group 0, in Implicit VR Little Endian whatever was agreed for objects.

use super::AssociationError;

/// The most bytes of a command: the longest that there are have a few hundred.
pub(crate) const COMMAND_CAP: usize = 1 << 13;

const CLASS: u16 = 0x0002;
const FIELD: u16 = 0x0100;
const ID: u16 = 0x0110;
const ANSWERS: u16 = 0x0120;
const PRIORITY: u16 = 0x0700;
const DATA: u16 = 0x0800;
const STATUS: u16 = 0x0900;
const INSTANCE: u16 = 0x1000;
/// No object follows.
const NO_DATA: u16 = 0x0101;
/// An answer's field is its question's with this bit.
const ANSWER: u16 = 0x8000;
const STORE: u16 = 0x0001;
const ECHO: u16 = 0x0030;

/// What became of a question. (PS3.4 B.2.3.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16);

impl Status {
    pub(crate) const SUCCESS: Self = Self(0x0000);
    /// No room for the object.
    pub(crate) const OUT_OF_RESOURCES: Self = Self(0xA700);
    /// The object is not what the command says.
    pub(crate) const MISMATCH: Self = Self(0xA900);
    /// The object makes no sense.
    pub(crate) const NOT_UNDERSTOOD: Self = Self(0xC000);
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    /// Whether anybody is there.
    Echo,
    /// To take the object that follows.
    Store {
        /// Its SOP instance.
        instance: String,
    },
}

/// A question or an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    /// A question.
    Ask {
        /// What it is answered by.
        id: u16,
        /// The SOP class it is about.
        class: String,
        /// What it is.
        request: Request,
    },
    /// An answer.
    Answer {
        /// Which question is answered.
        id: u16,
        /// The SOP class it was about.
        class: String,
        /// What the question was.
        request: Request,
        /// What became of it.
        status: Status,
    },
}

impl Command {
    /// Reads the bytes of a whole command.
    ///
    /// # Errors
    /// A damaged one, or one that is neither an echo nor a store.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, AssociationError> {
        let wrong = AssociationError::Protocol;
        let (mut class, mut instance) = (String::new(), String::new());
        let (mut field, mut id, mut answers, mut data, mut status) = (None, None, None, None, None);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (header, after) = rest.split_first_chunk::<8>().ok_or(wrong("a command that ends early"))?;
            let [g0, g1, e0, e1, length @ ..] = *header;
            let length = u32::from_le_bytes(length) as usize;
            let (value, after) = after.split_at_checked(length).ok_or(wrong("a command that ends early"))?;
            rest = after;
            if (g0, g1) != (0, 0) {
                return Err(wrong("a command with what belongs into an object"));
            }
            let number = || value.first_chunk::<2>().map(|v| u16::from_le_bytes(*v));
            let text = || String::from_utf8_lossy(value).trim_end_matches(['\0', ' ']).to_owned();
            match u16::from_le_bytes([e0, e1]) {
                CLASS => class = text(),
                INSTANCE => instance = text(),
                FIELD => field = number(),
                ID => id = number(),
                ANSWERS => answers = number(),
                DATA => data = number(),
                STATUS => status = number(),
                _ => {}
            }
        }
        let field = field.ok_or(wrong("a command without its kind"))?;
        let has_data = data.is_some_and(|data| data != NO_DATA);
        let request = match field & !ANSWER {
            ECHO => Request::Echo,
            STORE => Request::Store { instance },
            _ => return Err(wrong("a command that is neither an echo nor a store")),
        };
        if field & ANSWER != 0 {
            let (id, status) = answers.zip(status).ok_or(wrong("an answer without its question or status"))?;
            return Ok(Self::Answer { id, class, request, status: Status(status) });
        }
        if has_data != matches!(request, Request::Store { .. }) {
            return Err(wrong("a store without an object, or an echo with one"));
        }
        Ok(Self::Ask { id: id.ok_or(wrong("a question without a number"))?, class, request })
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (id, class, request) = match self {
            Self::Ask { id, class, request } | Self::Answer { id, class, request, .. } => (*id, class, request),
        };
        let mut elements = Vec::new();
        let mut put = |element: u16, value: &[u8]| {
            elements.extend([0, 0]);
            elements.extend(element.to_le_bytes());
            elements.extend((value.len() as u32).to_le_bytes());
            elements.extend(value);
        };
        let uid = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(bytes.len().next_multiple_of(2), 0);
            bytes
        };
        let field = match request {
            Request::Echo => ECHO,
            Request::Store { .. } => STORE,
        };
        put(CLASS, &uid(class));
        match self {
            Self::Ask { .. } => {
                put(FIELD, &field.to_le_bytes());
                put(ID, &id.to_le_bytes());
                let data = if let Request::Store { .. } = request {
                    put(PRIORITY, &[0, 0]);
                    0u16
                } else {
                    NO_DATA
                };
                put(DATA, &data.to_le_bytes());
            }
            Self::Answer { status, .. } => {
                put(FIELD, &(field | ANSWER).to_le_bytes());
                put(ANSWERS, &id.to_le_bytes());
                put(DATA, &NO_DATA.to_le_bytes());
                put(STATUS, &status.0.to_le_bytes());
            }
        }
        if let Request::Store { instance } = request {
            put(INSTANCE, &uid(instance));
        }
        let mut bytes = vec![0, 0, 0, 0, 4, 0, 0, 0];
        bytes.extend((elements.len() as u32).to_le_bytes());
        bytes.extend(elements);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn store() -> Command {
        let request = Request::Store { instance: "2.25.1".into() };
        Command::Ask { id: 7, class: "1.2.840.10008.5.1.4.1.1.4".into(), request }
    }

    #[test]
    fn what_is_written_is_read() {
        let Command::Ask { id, class, request } = store() else { panic!("a question") };
        let answer = Command::Answer { id, class: class.clone(), request, status: Status::OUT_OF_RESOURCES };
        let echo = Command::Ask { id: 65_535, class: "1.2.840.10008.1.1".into(), request: Request::Echo };
        for command in [store(), answer, echo] {
            assert_eq!(Command::read(&command.bytes()).expect("a command"), command);
            assert_eq!(command.bytes().len() % 2, 0);
        }
    }

    #[test]
    fn what_is_no_echo_and_no_store_is_refused() {
        let find = store()
            .bytes()
            .iter()
            .enumerate()
            .map(|(at, b)| if at == 12 + 8 + 26 + 8 { 0x20 } else { *b })
            .collect::<Vec<_>>();
        let problem = |bytes: &[u8]| Command::read(bytes).expect_err("refused").to_string();
        assert!(problem(&find).contains("neither an echo nor a store"), "{}", problem(&find));
        assert!(problem(&[]).contains("without its kind"));
        assert!(problem(&[8, 0, 0, 0, 0, 0, 0, 0]).contains("belongs into an object"));
        assert!(problem(&[0, 0, 0, 0, 255, 255, 255, 255]).contains("ends early"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..80, value in any::<u8>()) {
            let _ = Command::read(&bytes);
            let mut near = store().bytes();
            if let Some(byte) = near.get_mut(at) {
                *byte = value;
            }
            let _ = Command::read(&near);
        }
    }
}
