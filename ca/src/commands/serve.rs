//! `serve`

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;

use super::{CommandError, Context};
use crate::authority::{Authority, ListDays};
use crate::cli::ServeArgs;
use crate::log;
use crate::serve::{ServeError, ServeOptions, serve};

pub(super) fn run(context: &Context<'_>, arguments: &ServeArgs) -> Result<(), CommandError> {
    let ServeArgs { listen, no_publish, days, root_days, connections, connections_per_address } = arguments;
    log::start();
    let authority = if *no_publish { open_to_answer(context)? } else { context.open_to_publish(None)? };
    let options = ServeOptions {
        listen: listen.clone(),
        publish: (!no_publish).then_some(ListDays { issuing: *days, root: *root_days }),
        connections: *connections,
        connections_per_address: *connections_per_address,
    };
    let ready = |addresses: &[SocketAddr]| {
        let urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
        context.printer.result(&json!({ "listening": urls }), || {
            urls.iter().map(|url| format!("listening on {url}\n")).collect()
        });
    };
    serve(authority, Arc::clone(&context.clock), &options, ready).map_err(|error| match error {
        ServeError::Store(error) => CommandError::Issue(error),
        error @ (ServeError::Listen { .. } | ServeError::System(_)) => {
            let hint = match &error {
                ServeError::Listen { .. } => {
                    Some("choose another address or port with `--listen`, or end what listens there")
                }
                ServeError::Store(_) | ServeError::System(_) => None,
            };
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            CommandError::failed(format!("{error}{cause}"), hint)
        }
    })
}

/// The store, with the OCSP responders' keys at hand, and no authority's.
fn open_to_answer(context: &Context<'_>) -> Result<Authority, CommandError> {
    let mut authority = context.open()?;
    if authority.responders_need_passphrase()? {
        authority.unlock(context.passphrase_source().existing()?);
    }
    Ok(authority)
}
