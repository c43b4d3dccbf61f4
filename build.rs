//! Compiles proto/inkpass/v1 without protoc.

fn main() {
    #[cfg(feature = "proto")]
    proto::generate();
}

#[cfg(feature = "proto")]
mod proto {
    use std::{env, fs, path::PathBuf};

    /// Messages that hold a secret: `src/proto.rs` gives each a `Debug` that hides it.
    const SECRET: [&str; 2] = [".inkpass.v1.Token", ".inkpass.v1.VerifyTokenRequest"];

    const FILES: [&str; 5] = [
        "inkpass/v1/common.proto",
        "inkpass/v1/conversion_service.proto",
        "inkpass/v1/room_service.proto",
        "inkpass/v1/scene_service.proto",
        "inkpass/v1/token_service.proto",
    ];

    pub(super) fn generate() {
        println!("cargo::rerun-if-changed=proto");
        let mut compiler = protox::Compiler::new(["proto"]).expect("the proto directory can be read");
        compiler.include_imports(true).include_source_info(true);
        compiler.open_files(FILES).expect("the .proto files compile");

        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
        fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())
            .expect("OUT_DIR can be written");

        tonic_prost_build::configure()
            .build_client(cfg!(feature = "client"))
            .build_server(cfg!(feature = "server"))
            .build_transport(false)
            .generate_default_stubs(true)
            .skip_debug(SECRET)
            .compile_fds(compiler.file_descriptor_set())
            .expect("the services can be generated");
    }
}
