//! What a response says about the bytes of which it is a part, and whether another response continues it.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, LAST_MODIFIED},
};

use super::{
    range::{ContentRange, content_length},
    validator::Validator,
};

/// What a response without `content-type` may be taken for (RFC 9110 §8.3).
pub(crate) const UNKNOWN_TYPE: &str = "application/octet-stream";

/// The response that the caller sees.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The offset of its first byte in the representation.
    first: u64,
    /// ... and of its last one.
    last: Option<u64>,
    /// The length of the representation.
    complete: Option<u64>,
    identity: Identity,
    encoding: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
}

/// What makes sure that a continuation is of the same bytes.
#[derive(Clone, Debug)]
enum Identity {
    Strong(Validator),
    /// Nothing; the operator takes length, type and weak validators for enough.
    Likeness {
        etag: Option<HeaderValue>,
        last_modified: Option<HeaderValue>,
    },
}

/// Which part of a response continues the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Bytes to leave out at the beginning.
    pub(crate) skip: u64,
    /// Bytes to take then, if known.
    pub(crate) take: Option<u64>,
    /// Whether more bytes may follow that are not wanted.
    pub(crate) is_inside: bool,
}

impl Origin {
    /// `None` if a body that breaks off can have no continuation. `exact` is the length of the body, if the transport knows
    /// it; `by_likeness` allows to go by length and type where there is no strong validator.
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap, exact: Option<u64>, by_likeness: bool) -> Option<Self> {
        let declared = content_length(headers);
        if declared.is_some() && exact.is_some() && declared != exact {
            return None;
        }
        let length = declared.or(exact);
        let (first, last, complete) = match status {
            StatusCode::OK => (0, length.and_then(|length| length.checked_sub(1)), length),
            StatusCode::PARTIAL_CONTENT => {
                let range = ContentRange::of(headers)?;
                let is_whole = length.is_none_or(|length| length == range.last - range.first + 1);
                is_whole.then_some((range.first, Some(range.last), range.complete))?
            }
            _ => return None,
        };
        let identity = match Validator::of(headers) {
            Some(validator) => Identity::Strong(validator),
            None if by_likeness && complete.is_some() => Identity::Likeness {
                etag: headers.get(ETAG).cloned(),
                last_modified: headers.get(LAST_MODIFIED).cloned(),
            },
            None => return None,
        };
        let field = |name: HeaderName| headers.get(name).cloned();
        Some(Self {
            first,
            last,
            complete,
            identity,
            encoding: field(CONTENT_ENCODING),
            content_type: field(CONTENT_TYPE),
        })
    }

    /// The length of its body, if it is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match (self.last, self.complete) {
            (Some(last), _) => Some(last - self.first + 1),
            (None, complete) => complete,
        }
    }

    /// The `range` that asks for what follows after so many bytes.
    pub(super) fn range(&self, delivered: u64) -> String {
        let position = self.first + delivered;
        match self.last {
            // The end of a representation needs no number: what is longer now is refused anyway.
            Some(last) if self.complete != Some(last + 1) => format!("bytes={position}-{last}"),
            _ => format!("bytes={position}-"),
        }
    }

    /// The `if-range` that asks for it only if the bytes are still the same.
    pub(super) const fn if_range(&self) -> Option<&HeaderValue> {
        match &self.identity {
            Identity::Strong(validator) => Some(validator.value()),
            Identity::Likeness { .. } => None,
        }
    }

    /// Whether a response continues this one after so many bytes, and which part of it does. The error says why not.
    pub(crate) fn continues(
        &self,
        delivered: u64,
        status: StatusCode,
        headers: &HeaderMap,
        exact: Option<u64>,
    ) -> Result<Cut, &'static str> {
        self.is_same(status, headers)?;
        let position = self.first + delivered;
        match status {
            StatusCode::PARTIAL_CONTENT => {
                let range = ContentRange::of(headers).ok_or("its content-range is not one range of bytes")?;
                let last = self.last.or_else(|| Some(range.complete?.saturating_sub(1)));
                if range.first != position || Some(range.last) != last {
                    return Err("it has another range than was asked for");
                }
                if self.complete.is_some() && range.complete != self.complete {
                    return Err("the whole has another length now");
                }
                Ok(Cut { skip: 0, take: Some(range.last - range.first + 1), is_inside: false })
            }
            StatusCode::OK => {
                let length = content_length(headers).or(exact);
                if self.complete.is_some() && length.is_some() && length != self.complete {
                    return Err("the whole has another length now");
                }
                if matches!(self.identity, Identity::Likeness { .. }) && length != self.complete {
                    return Err("the length of the whole is not known");
                }
                let take = self.last.map(|last| (last + 1).saturating_sub(position));
                let whole = self.last.map(|last| last + 1);
                Ok(Cut { skip: position, take, is_inside: whole.is_some() && whole != length })
            }
            _ => Err("its status is neither 206 nor 200"),
        }
    }

    fn is_same(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), &'static str> {
        if headers.get(CONTENT_ENCODING) != self.encoding.as_ref() {
            return Err("it has another content-encoding");
        }
        // A tunnel server writes out what the absence of a type means. A 206 to an if-range need not repeat it (RFC 9110
        // §15.3.7), and with a strong validator nobody needs it.
        let unknown = HeaderValue::from_static(UNKNOWN_TYPE);
        let (type_now, type_then) = (headers.get(CONTENT_TYPE), self.content_type.as_ref());
        let may_lack_type = status == StatusCode::PARTIAL_CONTENT && matches!(self.identity, Identity::Strong(_));
        let is_same_type = type_now.unwrap_or(&unknown) == type_then.unwrap_or(&unknown);
        if !is_same_type && !(type_now.is_none() && may_lack_type) {
            return Err("it has another content-type");
        }
        let is_same = match &self.identity {
            Identity::Strong(validator) => validator.is_in(headers),
            Identity::Likeness { etag, last_modified } => {
                headers.get(ETAG) == etag.as_ref() && headers.get(LAST_MODIFIED) == last_modified.as_ref()
            }
        };
        if is_same { Ok(()) } else { Err("its validator is another one: the content has changed") }
    }
}
