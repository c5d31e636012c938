// Driver of ts-mls, or of the installed package that the argument names. Bytes
// are hex, messages are MLSMessages, code points are numbers. One driver holds
// many clients, each known by its name.
import * as nist from '@noble/curves/nist.js'
import { serve } from './lines.mjs'

const name = process.argv[2] ?? 'ts-mls'
const part = (file) => import(`${name}/${file}.js`)
const mls = await import(name)
const { verifyKeyPackage, makeKeyPackageRef } = await part('keyPackage')
const { verifyLeafNodeSignatureKeyPackage } = await part('leafNode')
const { decodeRatchetTree, encodeRatchetTree } = await part('ratchetTree')
const { createGroupInfo, createGroupInfoWithExternalPub } = await part('createCommit')
const { decodeProposal, encodeProposal } = await part('proposal')

// vector puts the length before a key, which has less than 2^14 bytes; content
// takes it off where there is one.
const vector = (b) => Uint8Array.from([...(b.length < 64 ? [b.length] : [0x40 | b.length >> 8, b.length & 0xff]), ...b])
// content takes a public key out of its vector. A bare key may look like a
// vector that is a byte shorter, so the length of what comes out has to be one.
const keySizes = [32, 65, 97, 133]
const content = (b) => [1, 2].map((n) => b.slice(n)).find((c) => keySizes.includes(c.length) && hex(vector(c)) === hex(b)) ?? b

const bytes = (hex) => Uint8Array.from(Buffer.from(hex ?? '', 'hex'))
const hex = (b) => Buffer.from(b).toString('hex')
const names = (o) => Object.fromEntries(Object.entries(o).map(([k, v]) => [v, k]))

const suiteNames = names(mls.ciphersuites)
const extensionNames = names(mls.defaultExtensionTypes)
const extensions = (list) =>
  (list ?? []).map(([type, data]) => ({ extensionType: extensionNames[type] ?? type, extensionData: bytes(data) }))
const plainExtensions = (list) =>
  list.map((e) => [mls.defaultExtensionTypes[e.extensionType] ?? e.extensionType, hex(e.extensionData)])

// decode reads a whole MLSMessage of the given kind.
function decode(message, ...wireformats) {
  const b = bytes(message)
  const read = mls.decodeMlsMessage(b, 0)
  if (read === undefined || read[1] !== b.length) throw new Error('does not decode')
  if (!wireformats.includes(read[0].wireformat)) throw new Error(`a ${read[0].wireformat}`)
  return read[0]
}
const encode = (wireformat, content) => hex(mls.encodeMlsMessage({ version: 'mls10', wireformat, ...content }))

// signatureKeys makes a key pair with the public key as RFC 9420, Section 5.1.1
// has it. Those of ts-mls itself are compressed points.
async function signatureKeys(cs, compressed) {
  const pair = await cs.signature.keygen()
  const curve = { 2: nist.p256, 5: nist.p521, 7: nist.p384 }[mls.ciphersuites[cs.name]]
  return curve && !compressed ? { ...pair, publicKey: curve.getPublicKey(pair.signKey, false) } : pair
}

const clients = new Map()
const client = ({ client }) => clients.get(client)

// psks is a PSK index over the client's own epochs and the external {id: value}.
const psks = (c, external) =>
  mls.makePskIndex(c.state, Object.fromEntries(
    Object.entries(external ?? {}).map(([id, value]) => [mls.bytesToBase64(bytes(id)), bytes(value)])))

// proposal reads a Proposal as it is encoded, or makes a custom one.
function proposal(p) {
  if (typeof p !== 'string') return { proposalType: p.type, proposalData: bytes(p.data) }
  const b = bytes(p)
  const read = decodeProposal(b, 0)
  if (read === undefined || read[1] !== b.length) throw new Error('proposal does not decode')
  if (hex(encodeProposal(read[0])) !== p) throw new Error('proposal does not encode as it was')
  return read[0]
}

serve({
  keyPackage: async ({ client, suite, compressed, capabilities, leafExtensions, extensions: list }) => {
    const cs = await mls.getCiphersuiteImpl(mls.getCiphersuiteFromName(suiteNames[suite]))
    const own = capabilities
      ? { versions: ['mls10'], ciphersuites: [suiteNames[suite]], credentials: ['basic'], ...capabilities }
      : mls.defaultCapabilities()
    const { publicPackage, privatePackage } = await mls.generateKeyPackageWithKey(
      { credentialType: 'basic', identity: Buffer.from(client) }, own, mls.defaultLifetime, extensions(list),
      await signatureKeys(cs, compressed), cs, extensions(leafExtensions))
    clients.set(client, { cs, publicPackage, privatePackage })
    return encode('mls_key_package', { keyPackage: publicPackage })
  },

  inspect: async ({ message, suite }) => {
    const { keyPackage: kp } = decode(message, 'mls_key_package')
    const cs = await mls.getCiphersuiteImpl(mls.getCiphersuiteFromName(suiteNames[suite]))
    return {
      ref: hex(await makeKeyPackageRef(kp, cs.hash)),
      valid: (await verifyKeyPackage(kp, cs.signature)) &&
        (await verifyLeafNodeSignatureKeyPackage(kp.leafNode, cs.signature)),
      again: encode('mls_key_package', { keyPackage: kp }),
      identity: Buffer.from(kp.leafNode.credential.identity).toString(),
      extensions: kp.leafNode.capabilities.extensions,
      proposals: kp.leafNode.capabilities.proposals,
      leaf: plainExtensions(kp.leafNode.extensions),
      list: plainExtensions(kp.extensions),
      notAfter: String(kp.leafNode.lifetime.notAfter),
    }
  },

  create: async ({ group, extensions: list, ...a }) => {
    const c = client(a)
    c.state = await mls.createGroup(bytes(group), c.publicPackage, c.privatePackage, extensions(list), c.cs)
  },

  join: async ({ welcome, tree, psks: external, ...a }) => {
    const c = client(a)
    const read = tree ? decodeRatchetTree(bytes(tree), 0)[0] : undefined
    c.state = await mls.joinGroup(decode(welcome, 'mls_welcome').welcome, c.publicPackage, c.privatePackage,
      psks(c, external), c.cs, read)
  },

  // commit commits every proposal the client has seen and those given.
  commit: async ({ proposals, isPublic, noTree, psks: external, ...a }) => {
    const c = client(a)
    const r = await mls.createCommit(
      { state: c.state, pskIndex: psks(c, external), cipherSuite: c.cs },
      {
        wireAsPublicMessage: isPublic,
        extraProposals: (proposals ?? []).map(proposal),
        ratchetTreeExtension: !noTree,
      })
    c.state = r.newState
    return {
      commit: hex(mls.encodeMlsMessage(r.commit)),
      welcome: r.welcome ? encode('mls_welcome', { welcome: r.welcome }) : '',
    }
  },

  propose: async ({ proposal: p, isPublic, ...a }) => {
    const c = client(a)
    const r = await mls.createProposal(c.state, isPublic, proposal(p), c.cs)
    c.state = r.newState
    return hex(mls.encodeMlsMessage(r.message))
  },

  // process takes any message of a group, and gives the text of an application message.
  process: async ({ message, psks: external, ...a }) => {
    const c = client(a)
    const m = decode(message, 'mls_public_message', 'mls_private_message')
    const r = m.wireformat === 'mls_public_message'
      ? await mls.processPublicMessage(c.state, m.publicMessage, psks(c, external), c.cs)
      : await mls.processPrivateMessage(c.state, m.privateMessage, psks(c, external), c.cs)
    c.state = r.newState
    return r.message ? hex(r.message) : ''
  },

  send: async ({ text, aad, ...a }) => {
    const c = client(a)
    const r = await mls.createApplicationMessage(c.state, bytes(text), c.cs, bytes(aad))
    c.state = r.newState
    return encode('mls_private_message', { privateMessage: r.privateMessage })
  },

  state: async ({ label, context, length, ...a }) => {
    const { state, cs } = client(a)
    const { groupContext: gc, keySchedule } = state
    return {
      active: state.groupActiveState.kind === 'active',
      epoch: Number(gc.epoch),
      self: state.privatePath.leafIndex,
      treeHash: hex(gc.treeHash),
      transcript: hex(gc.confirmedTranscriptHash),
      extensions: plainExtensions(gc.extensions),
      authenticator: hex(keySchedule.epochAuthenticator),
      exported: hex(await mls.mlsExporter(keySchedule.exporterSecret, label, Buffer.from(context), length, cs)),
    }
  },

  tree: async (a) => hex(encodeRatchetTree(client(a).state.ratchetTree)),

  // groupInfo is one with external_pub, without the tree. ts-mls writes the key
  // without its length (RFC 9420, Section 12.4.3.2 has HPKEPublicKey, a vector),
  // unless asRFC, where it is made here of the same parts.
  groupInfo: async ({ asRFC, ...a }) => {
    const { state, cs } = client(a)
    if (!asRFC) return encode('mls_group_info', { groupInfo: await createGroupInfoWithExternalPub(state, [], cs) })
    const { publicKey } = await cs.hpke.deriveKeyPair(state.keySchedule.externalSecret)
    const extensionData = vector(await cs.hpke.exportPublicKey(publicKey))
    const groupInfo = await createGroupInfo(state.groupContext, state.confirmationTag, state,
      [{ extensionType: 'external_pub', extensionData }], cs)
    return encode('mls_group_info', { groupInfo })
  },

  // joinExternal takes external_pub with its length if asRFC. The GroupInfo is
  // signed, so the length goes only where ts-mls reads the key.
  joinExternal: async ({ info, tree, asRFC, ...a }) => {
    const c = client(a)
    const importPublicKey = (b) => c.cs.hpke.importPublicKey(content(b))
    const cs = asRFC ? { ...c.cs, hpke: { ...c.cs.hpke, importPublicKey } } : c.cs
    const r = await mls.joinGroupExternal(decode(info, 'mls_group_info').groupInfo, c.publicPackage, c.privatePackage,
      false, cs, decodeRatchetTree(bytes(tree), 0)[0])
    c.state = r.newState
    return encode('mls_public_message', { publicMessage: r.publicMessage })
  },
})
