//! From the certificates that a phone presents to who it is.

use std::hint::black_box;

use certs::PresentedChain;

use crate::callgrind::counted;
use crate::fixture::{self, NOW};
use crate::scene::{self, Scene};
use crate::{Error, Step};

pub(crate) const STEPS: [Step; 5] = [
    Step::new("chain-parse", "parse a chain of two"),
    Step::new("chain-verify", "verify it again below the root, RSA 2048, revocation lists included"),
    Step::seldom("chain-verify-first", "the same before the gateway has seen the phone and its issuer"),
    Step::new("admission", "who it is, and whether it is denied"),
    Step::new("chain-recheck", "look at the same chain again"),
];

/// Does a step so many times.
pub(crate) fn perform(step: &str, calls: u64) -> Result<(), Error> {
    let scene = Scene::new()?;
    let host = scene.host()?;
    let (der, presented, peer) = (fixture::device_chain()?, scene::presented()?, scene::peer(&host)?);
    let chain = peer.chain().ok_or("no chain")?;
    let config = host.config();
    for _ in 0..calls {
        match step {
            "chain-parse" => drop(black_box(counted(|| PresentedChain::parse(&der))?)),
            "chain-verify" => drop(black_box(counted(|| config.verifier.verify(&presented, NOW))?)),
            "chain-verify-first" => {
                let fresh = Scene::new()?.host()?;
                let verifier = &fresh.config().verifier;
                drop(black_box(counted(|| verifier.verify(&presented, NOW))?));
            }
            "admission" => {
                let admitted = counted(|| config.admission.admit(chain));
                drop(black_box(admitted.map_err(|denial| denial.reason.as_str())?));
            }
            "chain-recheck" => {
                black_box(counted(|| host.judge().recheck(&peer, NOW))).map_err(|refusal| refusal.detail)?;
            }
            other => return Err(format!("no step {other}").into()),
        }
    }
    Ok(())
}
