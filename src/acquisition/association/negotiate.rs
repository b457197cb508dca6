//! Who may associate, and for what? Titles, classes and transfer syntaxes, as they are asked for and agreed.
//!
//! Only syntaxes that are read are agreed to: uncompressed ones. (PS3.8 §7.1, §9.3; PS3.7 Annex D.)

use std::collections::BTreeMap;

use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason,
    AssociationRJServiceProviderPresentationReason, AssociationRJServiceUserReason, AssociationRJSource, AssociationRQ,
    PresentationContextResult, PresentationContextResultReason, UserVariableItem,
};

use super::{APPLICATION_CONTEXT, AeTitle, BIG_ENDIAN, EXPLICIT, IMPLEMENTATION, IMPLICIT};

/// The most contexts of an association: they are numbered by the odd numbers of one byte.
const CONTEXTS_CAP: usize = 128;

/// What is done with objects of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Nothing: it is asked whether anybody is there.
    Echo,
    /// They are read.
    Image,
    /// They are of no series that is read: taken, so that the sender is content, and counted.
    Other,
}

impl Class {
    /// What is done with objects of this SOP class; `None` for one that is refused.
    pub(crate) fn of(uid: &str) -> Option<Self> {
        Some(match uid {
            "1.2.840.10008.1.1" => Self::Echo,
            // MR, Enhanced MR, and what converters make of older images.
            "1.2.840.10008.5.1.4.1.1.4" | "1.2.840.10008.5.1.4.1.1.4.1" | "1.2.840.10008.5.1.4.1.1.4.4" => Self::Image,
            // Screenshots and maps in colour, raw data, and what Siemens puts into the same export.
            "1.2.840.10008.5.1.4.1.1.7"
            | "1.2.840.10008.5.1.4.1.1.4.3"
            | "1.2.840.10008.5.1.4.1.1.66"
            | "1.3.12.2.1107.5.9.1" => Self::Other,
            _ => return None,
        })
    }
}

/// What was agreed for one kind of message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Context {
    /// What is done with it.
    pub(crate) class: Class,
    /// The class's UID.
    pub(crate) uid: String,
    /// The transfer syntax.
    pub(crate) syntax: &'static str,
}

/// What an association may be used for.
#[derive(Debug)]
pub(crate) struct Agreed {
    /// What to send to the other side.
    pub(crate) answer: AssociationAC,
    /// By number.
    pub(crate) contexts: BTreeMap<u8, Context>,
    /// The longest PDU that the other side takes.
    pub(crate) most: u32,
    /// Whether images were offered in compressed syntaxes only.
    pub(crate) compressed: bool,
}

/// Why an association is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What to send to the other side.
    pub(crate) answer: AssociationRJ,
    /// The same, for our log.
    pub(crate) problem: String,
}

/// Answers those who ask.
#[derive(Debug)]
pub(crate) struct Acceptor {
    pub(crate) title: AeTitle,
    /// Who may ask; anybody where it is empty.
    pub(crate) callers: Vec<AeTitle>,
    /// The longest PDU that is taken.
    pub(crate) most: u32,
}

impl Acceptor {
    /// Answers a request.
    ///
    /// # Errors
    /// Why not, with what to send.
    pub(crate) fn answer(&self, request: AssociationRQ) -> Result<Agreed, Refusal> {
        use AssociationRJServiceUserReason as User;
        let refuse = |source, problem: String| {
            Err(Refusal { answer: AssociationRJ { result: AssociationRJResult::Permanent, source }, problem })
        };
        let by_user = |reason, problem: String| refuse(AssociationRJSource::ServiceUser(reason), problem);
        // What others call themselves is repeated only where it is a title.
        let shown =
            |text: &str| text.parse::<AeTitle>().map_or("something else".into(), |title| format!("\"{title}\""));
        if request.protocol_version & 1 == 0 {
            let reason = AssociationRJServiceProviderASCEReason::ProtocolVersionNotSupported;
            return refuse(AssociationRJSource::ServiceProviderASCE(reason), "another version of the protocol".into());
        }
        if request.application_context_name.trim_end_matches(['\0', ' ']) != APPLICATION_CONTEXT {
            return by_user(User::ApplicationContextNameNotSupported, "another application context".into());
        }
        if request.called_ae_title != self.title.as_str() {
            let problem =
                format!("it calls {}, and this is \"{}\" (ae_title)", shown(&request.called_ae_title), self.title);
            return by_user(User::CalledAETitleNotRecognized, problem);
        }
        let listed = self.callers.is_empty() || self.callers.iter().any(|c| c.as_str() == request.calling_ae_title);
        if !listed {
            let problem = format!("{} is not in `callers`", shown(&request.calling_ae_title));
            return by_user(User::CallingAETitleNotRecognized, problem);
        }
        if request.presentation_contexts.len() > CONTEXTS_CAP {
            return by_user(User::NoReasonGiven, "more presentation contexts than there are numbers".into());
        }
        let mut contexts = BTreeMap::new();
        let mut unread = Vec::new();
        let mut results = Vec::new();
        for asked in &request.presentation_contexts {
            use PresentationContextResultReason as Reason;
            let uid = asked.abstract_syntax.trim_end_matches('\0');
            // As nothing needs converting, the order is ours: what no reader misunderstands first.
            let has = |syntax: &&&str| asked.transfer_syntaxes.iter().any(|s| s.trim_end_matches('\0') == **syntax);
            let syntax = [EXPLICIT, IMPLICIT, BIG_ENDIAN].iter().find(has).copied();
            let reason = match (Class::of(uid), syntax) {
                (None, _) => Reason::AbstractSyntaxNotSupported,
                (Some(class), None) => {
                    unread.extend((class == Class::Image).then(|| uid.to_owned()));
                    Reason::TransferSyntaxesNotSupported
                }
                (Some(class), Some(syntax)) => {
                    contexts.insert(asked.id, Context { class, uid: uid.into(), syntax });
                    Reason::Acceptance
                }
            };
            let transfer_syntax = syntax.unwrap_or(IMPLICIT).into();
            results.push(PresentationContextResult { id: asked.id, reason, transfer_syntax });
        }
        let compressed = unread.iter().any(|uid| !contexts.values().any(|context| context.uid == *uid));
        let answer = AssociationAC {
            protocol_version: 1,
            application_context_name: APPLICATION_CONTEXT.into(),
            calling_ae_title: request.calling_ae_title,
            called_ae_title: request.called_ae_title,
            presentation_contexts: results,
            user_variables: about_us(self.most),
        };
        Ok(Agreed { answer, contexts, most: most_of(&request.user_variables), compressed })
    }

    /// The answer where there is no room for one more.
    pub(crate) fn busy() -> AssociationRJ {
        let reason = AssociationRJServiceProviderPresentationReason::LocalLimitExceeded;
        AssociationRJ {
            result: AssociationRJResult::Transient,
            source: AssociationRJSource::ServiceProviderPresentation(reason),
        }
    }
}

/// What each side says of itself; `most` is the longest PDU that it takes.
pub(super) fn about_us(most: u32) -> Vec<UserVariableItem> {
    let (uid, name) = IMPLEMENTATION;
    vec![
        UserVariableItem::MaxLength(most),
        UserVariableItem::ImplementationClassUID(uid.into()),
        UserVariableItem::ImplementationVersionName(name.into()),
    ]
}

/// The longest PDU that the side takes that said this of itself: at most what any needs, at least a fragment.
pub(super) fn most_of(said: &[UserVariableItem]) -> u32 {
    let most = said.iter().find_map(|item| match item {
        UserVariableItem::MaxLength(most) => Some(*most),
        _ => None,
    });
    // 0 says: any.
    most.filter(|most| *most > 0).unwrap_or(super::PDU_CAP).clamp(128, super::PDU_CAP)
}
