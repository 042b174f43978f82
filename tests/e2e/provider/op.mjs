// A certified OpenID Provider (npm oidc-provider) for the end-to-end tests. Nobody sits in front of it: whoever asks is
// signed in as ACCOUNT and consents to everything. Rotation is on, and a spent refresh token revokes its whole grant.
// Clients may register themselves, and devices sign in.
//
//   node op.mjs PUBLIC_KEY_FILE TOKEN_LIFE [PORT ISSUER]     the key that its access tokens are signed with; seconds;
//                                                             where to listen, and its URL where something is in front
//
// Prints one JSON line, {"issuer": ...}, when it listens. GET /e2e/stats counts the answers of the token endpoint by
// client, grant type and result; POST /e2e/config {"token_life": 5, "token_format": "opaque"} changes the tokens issued
// from then on: opaque ones can be introspected and die with their grant, which signed ones do not.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import Provider from 'oidc-provider';

const ACCOUNT = 'alice';
const RESOURCE = 'urn:jmap-proxy:e2e:mail';
const MAIL_SCOPES = ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail', 'urn:ietf:params:oauth:scope:mail'];
const [publicKeyFile, tokenLife, port = '0', outsideUrl = ''] = process.argv.slice(2);
const config = { token_life: Number(tokenLife), token_format: 'jwt' };
const stats = {};

function signingKey() {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(publicKeyFile, publicKey.export({ type: 'spki', format: 'pem' }));
  return { ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: 'e2e' };
}

function nativeClient(clientId) {
  return {
    client_id: clientId,
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    redirect_uris: ['127.0.0.1', 'localhost', '[::1]'].map((host) => `http://${host}/callback`),
  };
}

function confidentialClient(clientId) {
  return { ...nativeClient(clientId), token_endpoint_auth_method: 'client_secret_basic', client_secret: 'e2e: s%cret+' };
}

// Cyrus 3.6 takes the header {alg, typ: "JWT"} and the claims {sub, iat}, and refuses a token with anything more.
// oidc-provider insists that there is an audience, so it stays, but out of what is serialised.
function thinToken(_ctx, _token, jwt) {
  const claims = { sub: jwt.payload.sub, iat: jwt.payload.iat };
  Object.defineProperty(claims, 'aud', { value: jwt.payload.aud, writable: true, enumerable: false });
  jwt.header = { typ: 'JWT', kid: undefined };
  jwt.payload = claims;
}

function settings() {
  return {
    jwks: { keys: [signingKey()] },
    clients: [nativeClient('jmap-native'), nativeClient('jmap-chain'), confidentialClient('jmap-confidential')],
    cookies: { keys: [randomBytes(24).toString('hex')] },
    scopes: ['openid', 'offline_access', ...MAIL_SCOPES],
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    ttl: { AccessToken: () => config.token_life, AuthorizationCode: 60, Grant: 86400, IdToken: 600,
      Interaction: 300, RefreshToken: 3600, Session: 86400 },
    formats: { customizers: { jwt: thinToken } },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      registration: { enabled: true },
      registrationManagement: { enabled: true },
      introspection: { enabled: true, allowedPolicy: async () => true },
      revocation: { enabled: true, allowedPolicy: async () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_ctx, _client, oneOf) => (oneOf ? oneOf[0] : RESOURCE),
        useGrantedResource: async () => true,
        getResourceServerInfo: async () => ({ scope: MAIL_SCOPES.join(' '), audience: RESOURCE,
          accessTokenTTL: config.token_life, accessTokenFormat: config.token_format, jwt: { sign: { alg: 'RS256' } } }),
      },
    },
  };
}

function count(ctx, result) {
  const client = (stats[ctx.oidc.params?.client_id ?? 'unknown'] ??= {});
  const grant = (client[ctx.oidc.params?.grant_type ?? 'unknown'] ??= {});
  grant[result] = (grant[result] ?? 0) + 1;
}

async function consent(provider, { prompt, params, session, grantId }) {
  const grant = grantId ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingResourceScopes = {} } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  for (const [resource, scopes] of Object.entries(missingResourceScopes)) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  return { consent: { grantId: await grant.save() } };
}

// The pages for signing in and for consent, answered for the person who is not there.
function answerPrompts(provider) {
  provider.use(async (ctx, next) => {
    if (!ctx.path.startsWith('/interaction/')) return next();
    const details = await provider.interactionDetails(ctx.req, ctx.res);
    const login = details.prompt.name === 'login';
    const result = login ? { login: { accountId: ACCOUNT } } : await consent(provider, details);
    return provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
  });
}

async function readJson(req) {
  const parts = [];
  for await (const part of req) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString() || '{}');
}

async function answerHarness(req, res) {
  if (req.url === '/e2e/config') Object.assign(config, await readJson(req));
  res.writeHead(200, { 'content-type': 'application/json' });
  res.end(JSON.stringify(req.url === '/e2e/stats' ? stats : config));
}

const server = http.createServer();
server.listen(Number(port), '127.0.0.1', () => {
  const issuer = outsideUrl || `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, settings());
  answerPrompts(provider);
  provider.on('grant.success', (ctx) => count(ctx, 'ok'));
  provider.on('grant.error', (ctx, error) => {
    count(ctx, error.error);
    console.error('token endpoint:', error.error, error.error_detail);
  });
  provider.on('authorization.error', (_ctx, error) => console.error('authorization:', error.error, error.error_detail));
  provider.on('server_error', (_ctx, error) => console.error('server error:', error));
  const callback = provider.callback();
  server.on('request', (req, res) => (req.url.startsWith('/e2e/') ? answerHarness(req, res) : callback(req, res)));
  console.log(JSON.stringify({ issuer }));
});
process.on('SIGTERM', () => process.exit(0));
