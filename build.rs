//! Compiles proto/inkpass/v1 without protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    #[cfg(feature = "proto")]
    proto::generate()?;
    Ok(())
}

#[cfg(feature = "proto")]
mod proto {
    use std::{
        collections::{BTreeMap, BTreeSet},
        env,
        error::Error,
        fmt::Write,
        fs,
        path::PathBuf,
    };

    const FILES: [&str; 5] = [
        "inkpass/v1/common.proto",
        "inkpass/v1/conversion_service.proto",
        "inkpass/v1/room_service.proto",
        "inkpass/v1/scene_service.proto",
        "inkpass/v1/token_service.proto",
    ];

    pub(super) fn generate() -> Result<(), Box<dyn Error>> {
        println!("cargo::rerun-if-changed=proto");
        let mut compiler = protox::Compiler::new(["proto"])?;
        compiler.include_imports(true).include_source_info(true);
        compiler.open_files(FILES)?;

        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
        fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
        fs::write(out.join("rpcs.rs"), rpcs(&compiler))?;
        let redacted = redacted(&compiler)?;
        fs::write(out.join("redacted.rs"), redacted.values().map(String::as_str).collect::<String>())?;

        let mut config = tonic_prost_build::Config::new();
        config.enable_type_names();
        tonic_prost_build::configure()
            .build_client(cfg!(feature = "client"))
            .build_server(cfg!(feature = "server"))
            .build_transport(false)
            .generate_default_stubs(true)
            .codec_path("crate::codec::Codec")
            .skip_debug(redacted.keys().map(|message| format!(".inkpass.v1.{message}")).collect::<Vec<_>>())
            .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
        Ok(())
    }

    /// The messages that hold a secret, each with a `Debug` that masks it. The comment of such a field begins with
    /// `Secret:`, since protoc 3.21 has no option `debug_redact`.
    ///
    /// # Errors
    /// A secret in a nested message or beside a oneof, where no `Debug` is written.
    fn redacted(compiler: &protox::Compiler) -> Result<BTreeMap<String, String>, String> {
        let mut redacted = BTreeMap::new();
        for file in &compiler.file_descriptor_set().file {
            // The fields of each message that are secret, by their places.
            let mut secrets: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for location in file.source_code_info.iter().flat_map(|info| &info.location) {
                if !location.leading_comments().trim_start().starts_with("Secret:") {
                    continue;
                }
                // The numbers of FileDescriptorProto.message_type and DescriptorProto.field.
                let &[4, message, 2, field] = &*location.path else {
                    return Err(format!("{}: `Secret:` is not at a field of an outer message", file.name()));
                };
                secrets
                    .entry(message.try_into().unwrap_or(0))
                    .or_default()
                    .push(field.try_into().unwrap_or(0));
            }
            for (message, fields) in secrets {
                let message = &file.message_type[message];
                if !message.oneof_decl.is_empty() {
                    return Err(format!("{} has a secret beside a oneof", message.name()));
                }
                let mut body = String::new();
                for (place, field) in message.field.iter().enumerate() {
                    let name = field.name();
                    let is_enum = field.r#type().as_str_name() == "TYPE_ENUM";
                    let value = match fields.contains(&place) {
                        true => "\"***\"".to_owned(),
                        false if is_enum => format!("self.{name}()"),
                        false => format!("self.{name}"),
                    };
                    let _ = writeln!(body, "            .field(\"{name}\", &{value})");
                }
                let name = message.name();
                let debug = format!(
                    "
impl std::fmt::Debug for {name} {{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{
        f.debug_struct(\"{name}\")
{body}            .finish()
    }}
}}
"
                );
                redacted.insert(name.to_owned(), debug);
            }
        }
        Ok(redacted)
    }

    /// An enum of every RPC, for tables that must have a row for each: one without a row does not compile.
    fn rpcs(compiler: &protox::Compiler) -> String {
        let set = compiler.file_descriptor_set();
        let files = set.file.iter().filter(|file| file.package() == "inkpass.v1");
        let services = files.flat_map(|file| &file.service);
        let methods: Vec<_> = services
            .flat_map(|service| service.method.iter().map(|method| (service.name(), method.name())))
            .collect();
        let names_of_services: BTreeSet<_> =
            methods.iter().map(|(service, _)| format!("inkpass.v1.{service}")).collect();
        let names_of_services: Vec<_> = names_of_services.into_iter().collect();
        let (mut variants, mut all, mut names) = (String::new(), String::new(), String::new());
        for (service, method) in &methods {
            let name = format!("inkpass.v1.{service}/{method}");
            let _ = writeln!(variants, "    /// `{name}`.\n    {method},");
            let _ = write!(all, "Self::{method}, ");
            let _ = writeln!(names, "            Self::{method} => \"{name}\",");
        }
        format!(
            "/// Every RPC of `inkpass.v1`, from the descriptor set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rpc {{
{variants}}}

/// The full names of all services of `inkpass.v1`.
pub const SERVICES: [&str; {services}] = {names_of_services:?};

impl Rpc {{
    /// All RPCs, in the descriptor set's order.
    pub const ALL: [Self; {count}] = [{all}];

    /// The full name, `inkpass.v1.Service/Method`.
    #[must_use]
    pub const fn name(self) -> &'static str {{
        match self {{
{names}        }}
    }}
}}
",
            count = methods.len(),
            services = names_of_services.len(),
        )
    }
}
