//! What can be wrong with a template.

/// Why a text is no path template.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its partner.
    #[error("a brace without its partner")]
    Brace,
    /// A character that can stand in no request.
    #[error("the character '{}' cannot stand in a request's path or query", character.escape_debug())]
    Character {
        /// The first such character.
        character: char,
    },
    /// Nothing after the question mark.
    #[error("nothing stands after the `?`")]
    EmptyQuery,
    /// A percent sign that begins no escape of a normalised target.
    #[error("a `%` that begins no escape of a normalised path or query, so this never matches")]
    Escape,
    /// Some of the query are parameters and some are not.
    #[error("the query mixes parameters (`name=value`) with other text")]
    MixedQuery,
    /// The path does not begin at the root.
    #[error("a path begins with `/`")]
    NotAbsolute,
    /// A parameter's name is empty or holds a named part.
    #[error("a parameter's name is plain text")]
    ParameterName,
    /// One parameter twice.
    #[error("the parameter `{name}` stands there twice")]
    RepeatedParameter {
        /// Its name.
        name: String,
    },
    /// `{*}` with something after it.
    #[error("`{{*}}` stands for any remainder, so nothing can follow it")]
    RestNotLast,
    /// `.`, `..` or nothing between two slashes.
    #[error("`//`, `/./` and `/../` stand in no normalised path, so this never matches")]
    Segment,
    /// `;` among parameters.
    #[error("`;` among parameters matches nothing: some backends begin another parameter there")]
    Semicolon,
    /// More parameters than can be told apart.
    #[error("more than {most} parameters")]
    TooManyParameters {
        /// The most there may be.
        most: usize,
    },
    /// More products than can be followed.
    #[error("`{{product}}` and `{{psn}}` stand there more than {most} times")]
    TooManyProducts {
        /// The most there may be.
        most: usize,
    },
    /// A part that no template has.
    #[error("unknown part `{{{}}}`", name.escape_debug())]
    UnknownPart {
        /// Its name.
        name: String,
        /// The known name nearest to it.
        nearest: Option<&'static str>,
    },
}

impl TemplateError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::EmptyQuery => {
                Some("leave the `?` out: such a template matches requests with no query".to_owned())
            }
            Self::Escape => Some(
                "in a path write two upper-case hex digits, and letters, digits and -._~ unescaped; \
                 escaped slashes, backslashes, percent signs and control characters are refused before any rule"
                    .to_owned(),
            ),
            Self::MixedQuery => Some("write every part as name=value, or none".to_owned()),
            Self::Semicolon => Some("separate parameters with `&`".to_owned()),
            Self::UnknownPart { nearest: Some(name), .. } => Some(format!("did you mean `{{{name}}}`?")),
            Self::UnknownPart { nearest: None, .. } => {
                Some("the parts are {mac}, {serial}, {product}, {psn} and {*}".to_owned())
            }
            Self::Brace
            | Self::Character { .. }
            | Self::NotAbsolute
            | Self::ParameterName
            | Self::RepeatedParameter { .. }
            | Self::RestNotLast
            | Self::Segment
            | Self::TooManyParameters { .. }
            | Self::TooManyProducts { .. } => None,
        }
    }
}
