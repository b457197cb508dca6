//! What can go wrong between a scanner and its volumes? Every kind has a counter.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::acquisition::dicom::DicomError;

macro_rules! faults {
    ($($name:ident $label:literal $doc:literal),+ $(,)?) => {
        /// One kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $doc] $name,)+
        }

        impl Fault {
            /// Every kind.
            pub const ALL: &'static [Fault] = &[$(Fault::$name),+];

            /// Its name in metrics and logs.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Fault::$name => $label,)+
                }
            }
        }
    };
}

faults! {
    Missing "missing" "A volume that had not come when its time was up.",
    Late "late" "A volume that came after its gap had been declared; dropped.",
    Early "early" "A volume that came before its predecessor, and was held for it.",
    Untimed "untimed" "A volume without the time that its clock goes by; placed by its number.",
    Paused "paused" "A pause of the scanner within a series, by headers or triggers.",
    OtherTr "other_tr" "A volume that followed the one before by another TR than is set.",
    MissingTrigger "missing_trigger" "A volume whose trigger had not come; placed between its neighbours.",
    DoubleTrigger "double_trigger" "A trigger too soon after another; left out.",
    Duplicate "duplicate" "A volume or slice that had come already; dropped.",
    Misnumbered "misnumbered" "A volume whose number is missing, or far from those before it; dropped.",
    OtherSeries "other_series" "An image of a series, echo or component that the rule does not take.",
    WrongGrid "wrong_grid" "A volume on another grid than the atlas or mask.",
    Slices "slices" "A volume whose slices never all came, or make no volume.",
    Partial "partial" "A file that was read before it was complete, and again later.",
    Truncated "truncated" "A file or object that never became complete.",
    Malformed "malformed" "A file or object that is damaged, or is no image.",
    Compressed "compressed" "An image whose pixels are compressed.",
    TooLarge "too_large" "A file or object larger than any volume, or than the receiver takes.",
    Link "link" "A symbolic link, or something else that is no file; not followed.",
    Unreadable "unreadable" "A file that the system does not let us read.",
    Folder "folder" "Times the folder could not be listed.",
    Before "before" "A file that lay there already.",
    Association "association" "An association that was refused: another title, a caller that is not listed, one too many.",
    Protocol "protocol" "A connection that does not speak DICOM, or breaks its rules.",
    Idle "idle" "A connection on which nothing came for too long; closed.",
    Full "full" "An object that was refused because too many waited for the lane.",
}

impl From<&DicomError> for Fault {
    fn from(error: &DicomError) -> Self {
        match error {
            DicomError::Truncated { .. } => Fault::Truncated,
            DicomError::Compressed(_) => Fault::Compressed,
            DicomError::Slices(_) => Fault::Slices,
            _ => Fault::Malformed,
        }
    }
}

/// How often each kind of fault was met.
#[derive(Debug, Default)]
pub struct FaultCounts([AtomicU64; Fault::ALL.len()]);

impl FaultCounts {
    /// Adds `n` to the count of a fault.
    pub fn add(&self, fault: Fault, n: u64) {
        if let Some(count) = self.0.get(fault as usize) {
            count.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// How often it was met.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0.get(fault as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}
