//! A PKCS #11 module that says of its token that one try of the PIN is left, and writes down each login (CA H4).

use std::path::{Path, PathBuf};
use std::process::Command;

/// SoftHSM with two functions of its own: it has no count of wrong PINs itself.
const SHIM: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CK_FUNCTION_LIST of PKCS #11 2.40: a version and 68 functions, of which these are two. */
struct list { unsigned char version[2]; void *function[68]; };
enum { GET_FUNCTION_LIST = 3, GET_TOKEN_INFO = 6, LOGIN = 18 };
/* CK_TOKEN_INFO: 96 octets of text, then the flags. */
enum { FLAGS_AT = 96 };
static struct list ours, *theirs;

static unsigned long token_info(unsigned long slot, unsigned char *info) {
    unsigned long flags, result =
        ((unsigned long (*)(unsigned long, unsigned char *))theirs->function[GET_TOKEN_INFO])(slot, info);
    const char *more = getenv("TOKEN_FLAGS");
    if (result != 0 || more == NULL) return result;
    memcpy(&flags, info + FLAGS_AT, sizeof flags);
    flags |= strtoul(more, NULL, 16);
    memcpy(info + FLAGS_AT, &flags, sizeof flags);
    return result;
}

static unsigned long login(unsigned long session, unsigned long user, void *pin, unsigned long length) {
    FILE *log = fopen(getenv("TOKEN_LOG"), "a");
    fputs("login\n", log);
    fclose(log);
    return ((unsigned long (*)(unsigned long, unsigned long, void *, unsigned long))theirs->function[LOGIN])(
        session, user, pin, length);
}

unsigned long C_GetFunctionList(struct list **list) {
    if (theirs == NULL) {
        void *module = dlopen(getenv("TOKEN_MODULE"), RTLD_NOW | RTLD_LOCAL);
        unsigned long (*get)(struct list **) = module ? dlsym(module, "C_GetFunctionList") : NULL;
        if (get == NULL || get(&theirs) != 0) return 5;
        ours = *theirs;
        ours.function[GET_FUNCTION_LIST] = C_GetFunctionList;
        ours.function[GET_TOKEN_INFO] = token_info;
        ours.function[LOGIN] = login;
    }
    *list = &ours;
    return 0;
}
"#;

/// Builds the module in this folder, with the compiler that links Rust's programs too.
pub(crate) fn build(folder: &Path) -> PathBuf {
    let (source, module) = (folder.join("shim.c"), folder.join("shim.so"));
    #[expect(clippy::disallowed_methods, reason = "an input of the test, written before anyone reads it")]
    std::fs::write(&source, SHIM).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&module, &source])
        .arg("-ldl")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    module
}
