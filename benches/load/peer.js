// peer.js PROTO PORT: the vendor's signer behind @grpc/grpc-js, as services do it that hold the key themselves.
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");
const { roomToken, TokenRole } = require("netless-token");

const [proto, port] = process.argv.slice(2);
const definition = loader.loadSync("inkpass/v1/token_service.proto", { includeDirs: [proto], keepCase: true });
const { TokenService } = grpc.loadPackageDefinition(definition).inkpass.v1;
const accessKey = "bench-access-key";
const secretKey = "bench-secret-key-of-some-length";
const lifetime = 60 * 60 * 1000;

const issueToken = ({ request }, answer) => {
  const uuid = request.room.uuid;
  const value = roomToken(accessKey, secretKey, lifetime, { role: TokenRole.Writer, uuid });
  answer(null, { token: { value, kind: 2, role: 2, uuid, access_key: accessKey } });
};

const server = new grpc.Server();
server.addService(TokenService.service, { IssueToken: issueToken });
server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
