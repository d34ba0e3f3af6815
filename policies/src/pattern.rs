//! Path and query templates: `/cisco/{product}/{mac}.xml`, `/config?mac={mac}`.
//!
//! A template's named parts stand for values of the device that asks, which are known before the path is read. So
//! matching only compares: there is no search, no regular expression (SEC-20) and no allocation, and it takes time in
//! proportion to the path. The one choice, `{product}` with or without `-3PCC`, can be met at most four times.
//!
//! | part | stands for |
//! | --- | --- |
//! | `{mac}` | the MAC address, in either case, with `:`, `-`, `.` or nothing between the digits |
//! | `{serial}` | the serial number |
//! | `{product}` | the product, with or without `-3PCC` |
//! | `{psn}` | the product without `CP-`, with or without `-3PCC` |
//! | `{*}` | any remainder, none too; only at the end of the path, of the whole query or of a parameter's value |
//!
//! A part the device does not have matches nothing; nor does a value that is not `[A-Za-z0-9._:-]+`, or is `.` or `..`.
//!
//! After `?` stands either one text for the whole query (`/config?cisco{mac}`), or parameters (`/config?mac={mac}&v=1`):
//! then the request must have each of them exactly once, in any order, and no others, and no `;` anywhere: some backends
//! begin a new parameter there. A template without `?` matches a
//! request without a query; a lone `?` with nothing after it carries nothing and counts as none. The text is compared as
//! it is forwarded: a path normalised (`%20` in upper case, `%41` decoded), a query as it was sent.

mod error;

use std::sync::Arc;

pub use error::TemplateError;

use crate::document::nearest;
use crate::mac::MacAddress;
use crate::principal::Principal;

/// What old and new firmware differ in: the product's name with this at its end or without.
const MULTIPLATFORM: &str = "-3PCC";

/// `{product}` and `{psn}` may stand this often in a template: each can be read two ways, which makes 16 at most.
const MOST_PRODUCTS: usize = 4;

/// A query template has at most this many parameters: they are ticked off in the bits of a number.
const MOST_PARAMETERS: usize = 32;

/// A template, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Template {
    text: Arc<str>,
    path: Vec<Part>,
    query: Query,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Literal(Box<str>),
    Mac,
    Serial,
    Product,
    ShortProduct,
    Rest,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Query {
    None,
    Whole(Vec<Part>),
    Parameters(Vec<Parameter>),
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Parameter {
    name: Box<str>,
    value: Vec<Part>,
}

/// The named parts, as templates write them.
const PARTS: &[(&str, Part)] = &[
    ("mac", Part::Mac),
    ("serial", Part::Serial),
    ("product", Part::Product),
    ("psn", Part::ShortProduct),
    ("*", Part::Rest),
];

/// The values that the named parts stand for: those of the device that can stand in a path.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Values<'p> {
    mac: Option<MacAddress>,
    serial: Option<&'p str>,
    /// Without `-3PCC`.
    product: Option<&'p str>,
    /// Without `CP-` and without `-3PCC`.
    short_product: Option<&'p str>,
}

impl<'p> Values<'p> {
    /// The values of a device; none for anybody else.
    pub(crate) fn of(principal: &'p Principal) -> Self {
        let Principal::Device(device) = principal else {
            return Self::default();
        };
        let without_suffix =
            |text: &'p str| Some(text.strip_suffix(MULTIPLATFORM).unwrap_or(text)).filter(|t| usable(t));
        Self {
            mac: device.mac(),
            serial: device.serial().filter(|serial| usable(serial)),
            product: device.product().filter(|product| usable(product)).and_then(without_suffix),
            short_product: device.short_product().filter(|product| usable(product)).and_then(without_suffix),
        }
    }

    /// Whether there is a value for the part.
    fn has(&self, part: &Part) -> bool {
        match part {
            Part::Literal(_) | Part::Rest => true,
            Part::Mac => self.mac.is_some(),
            Part::Serial => self.serial.is_some(),
            Part::Product => self.product.is_some(),
            Part::ShortProduct => self.short_product.is_some(),
        }
    }
}

/// Whether a value may stand in a path: nothing that a file system or a server reads as more than a name.
fn usable(value: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    !matches!(value, "" | "." | "..") && value.bytes().all(plain)
}

impl Template {
    /// Reads a template.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let (path_text, query_text) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        check_segments(path_text)?;
        let path = parse_parts(path_text, Component::Path)?;
        let query = query_text.map_or(Ok(Query::None), parse_query)?;
        let template = Self { text: Arc::from(text), path, query };
        let products = template.parts().filter(|part| matches!(part, Part::Product | Part::ShortProduct));
        if products.count() > MOST_PRODUCTS {
            return Err(TemplateError::TooManyProducts { most: MOST_PRODUCTS });
        }
        Ok(template)
    }

    /// The template as written.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Whether a request for this path and query matches. Allocates nothing.
    pub(crate) fn matches(&self, values: &Values<'_>, path: &str, query: Option<&str>) -> bool {
        self.matches_path(values, path) && self.query_matches(values, query.unwrap_or(""))
    }

    /// Whether the path alone matches.
    pub(crate) fn matches_path(&self, values: &Values<'_>, path: &str) -> bool {
        matches_parts(&self.path, values, path.as_bytes())
    }

    /// Whether it names any value of a device.
    pub(crate) fn needs_device(&self) -> bool {
        self.parts().any(|part| !matches!(part, Part::Literal(_) | Part::Rest))
    }

    /// The first part, as written, that these values have nothing usable for.
    pub(crate) fn missing_part(&self, values: &Values<'_>) -> Option<&'static str> {
        let missing = self.parts().find(|part| !values.has(part))?;
        PARTS.iter().find(|(_, part)| part == missing).map(|(name, _)| *name)
    }

    fn query_matches(&self, values: &Values<'_>, query: &str) -> bool {
        match &self.query {
            Query::None => query.is_empty(),
            Query::Whole(parts) => matches_parts(parts, values, query.as_bytes()),
            Query::Parameters(wanted) => matches_parameters(wanted, values, query),
        }
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        let (whole, parameters): (&[Part], &[Parameter]) = match &self.query {
            Query::None => (&[], &[]),
            Query::Whole(parts) => (parts, &[]),
            Query::Parameters(parameters) => (&[], parameters),
        };
        self.path.iter().chain(whole).chain(parameters.iter().flat_map(|parameter| &parameter.value))
    }
}

fn matches_parts(mut parts: &[Part], values: &Values<'_>, mut text: &[u8]) -> bool {
    while let [part, following @ ..] = parts {
        let after = match part {
            Part::Rest => return true, // nothing follows it
            Part::Literal(literal) => text.strip_prefix(literal.as_bytes()),
            Part::Mac => after_mac(values.mac, text),
            Part::Serial => after_value(values.serial, text),
            Part::Product => after_value(values.product, text),
            Part::ShortProduct => after_value(values.short_product, text),
        };
        let Some(after) = after else {
            return false;
        };
        if matches!(part, Part::Product | Part::ShortProduct)
            && let Some(longer) = after.strip_prefix(MULTIPLATFORM.as_bytes())
            && matches_parts(following, values, longer)
        {
            return true;
        }
        (parts, text) = (following, after);
    }
    text.is_empty()
}

fn after_value<'t>(value: Option<&str>, text: &'t [u8]) -> Option<&'t [u8]> {
    text.strip_prefix(value?.as_bytes())
}

fn after_mac(mac: Option<MacAddress>, text: &[u8]) -> Option<&[u8]> {
    text.get(mac?.prefix_length(text)?..)
}

fn matches_parameters(wanted: &[Parameter], values: &Values<'_>, query: &str) -> bool {
    // CGI.pm and its like split at `;` too, and would read a second `mac` where we see one value.
    if query.contains(';') {
        return false;
    }
    let mut seen = 0_u32;
    for pair in query.split('&') {
        let Some((name, value)) = pair.split_once('=') else {
            return false;
        };
        let Some((index, parameter)) = wanted.iter().enumerate().find(|(_, known)| *known.name == *name)
        else {
            return false;
        };
        let bit = 1_u32 << index; // there are at most MOST_PARAMETERS
        if seen & bit != 0 || !matches_parts(&parameter.value, values, value.as_bytes()) {
            return false;
        }
        seen |= bit;
    }
    usize::try_from(seen.count_ones()).is_ok_and(|count| count == wanted.len())
}

fn parse_query(text: &str) -> Result<Query, TemplateError> {
    if text.is_empty() {
        return Err(TemplateError::EmptyQuery);
    }
    if !text.contains('=') {
        return parse_parts(text, Component::Query).map(Query::Whole);
    }
    if text.contains(';') {
        return Err(TemplateError::Semicolon);
    }
    let mut parameters: Vec<Parameter> = Vec::new();
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=').ok_or(TemplateError::MixedQuery)?;
        if name.contains(['{', '}']) || name.is_empty() {
            return Err(TemplateError::ParameterName);
        }
        Component::Query.check(name)?;
        if parameters.iter().any(|known| *known.name == *name) {
            return Err(TemplateError::RepeatedParameter { name: name.to_owned() });
        }
        parameters.push(Parameter { name: Box::from(name), value: parse_parts(value, Component::Query)? });
    }
    if parameters.len() > MOST_PARAMETERS {
        return Err(TemplateError::TooManyParameters { most: MOST_PARAMETERS });
    }
    Ok(Query::Parameters(parameters))
}

fn parse_parts(text: &str, component: Component) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if matches!(parts.last(), Some(Part::Rest)) {
            return Err(TemplateError::RestNotLast);
        }
        let (literal, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
        if !literal.is_empty() {
            component.check(literal)?;
            parts.push(Part::Literal(Box::from(literal)));
        }
        let Some(named) = after.strip_prefix('{') else {
            break;
        };
        let (name, after) = named.split_once('}').ok_or(TemplateError::Brace)?;
        let part = PARTS.iter().find(|(known, _)| *known == name).map(|(_, part)| part.clone());
        parts.push(part.ok_or_else(|| TemplateError::UnknownPart {
            name: name.to_owned(),
            nearest: nearest(name, PARTS.iter().map(|(known, _)| *known).filter(|known| *known != "*")),
        })?);
        rest = after;
    }
    Ok(parts)
}

fn check_segments(path: &str) -> Result<(), TemplateError> {
    let inner = path.strip_prefix('/').ok_or(TemplateError::NotAbsolute)?;
    let mut segments = inner.split('/').peekable();
    while let Some(segment) = segments.next() {
        // A path may end in `/`.
        if matches!(segment, "." | "..") || (segment.is_empty() && segments.peek().is_some()) {
            return Err(TemplateError::Segment);
        }
    }
    Ok(())
}

/// Which part of a target a text belongs to, and so what can stand in it once the gateway has normalised it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Component {
    Path,
    Query,
}

impl Component {
    /// Whether the byte may stand there as it is (RFC 3986 §3.3, §3.4). Paths with `;` are refused before any rule.
    fn allows(self, byte: u8) -> bool {
        let both = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/".contains(&byte);
        match self {
            Self::Path => both,
            Self::Query => both || matches!(byte, b';' | b'?'),
        }
    }

    /// Whether the escape of this byte stays one. In a path, what needs no escape is decoded, and what backends read
    /// differently is refused; a query stays as sent.
    fn keeps_escaped(self, byte: u8) -> bool {
        let decoded = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let refused = byte.is_ascii_control() || b"/\\%".contains(&byte);
        match self {
            Self::Path => !decoded && !refused,
            Self::Query => byte != 0,
        }
    }

    fn check(self, literal: &str) -> Result<(), TemplateError> {
        let mut rest = literal;
        while let Some(character) = rest.chars().next() {
            rest = match character {
                '%' => self.after_escape(rest).ok_or(TemplateError::Escape)?,
                '}' => return Err(TemplateError::Brace),
                plain if u8::try_from(plain).is_ok_and(|byte| self.allows(byte)) => {
                    rest.get(1..).unwrap_or_default() // such a character is one byte
                }
                character => return Err(TemplateError::Character { character }),
            };
        }
        Ok(())
    }

    fn after_escape(self, text: &str) -> Option<&str> {
        let digits = text.get(1..3)?;
        let normal = match self {
            Self::Path => digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')),
            Self::Query => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        };
        let byte = u8::from_str_radix(digits, 16).ok()?;
        (normal && self.keeps_escaped(byte)).then_some(text.get(3..)?)
    }
}

#[cfg(test)]
mod tests;
