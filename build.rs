//! Compiles proto/inkpass/v1 without protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    #[cfg(feature = "proto")]
    proto::generate()?;
    Ok(())
}

#[cfg(feature = "proto")]
mod proto {
    use std::{collections::BTreeSet, env, error::Error, fmt::Write, fs, path::PathBuf};

    /// Messages that hold a secret: `src/proto.rs` gives each a `Debug` that hides it.
    const SECRET: [&str; 2] = [".inkpass.v1.Token", ".inkpass.v1.VerifyTokenRequest"];

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

        let mut config = tonic_prost_build::Config::new();
        config.enable_type_names();
        tonic_prost_build::configure()
            .build_client(cfg!(feature = "client"))
            .build_server(cfg!(feature = "server"))
            .build_transport(false)
            .generate_default_stubs(true)
            .skip_debug(SECRET)
            .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
        Ok(())
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
