// Driver of nostr-tools. Keys are hex; events are NIP-01 objects.
import { finalizeEvent, getEventHash, getPublicKey, verifyEvent } from 'nostr-tools/pure'
import * as nip19 from 'nostr-tools/nip19'
import * as nip44 from 'nostr-tools/nip44'
import * as nip59 from 'nostr-tools/nip59'
import { Relay } from 'nostr-tools/relay'
import { serve } from './lines.mjs'

const bytes = (hex) => Uint8Array.from(Buffer.from(hex, 'hex'))
const hex = (b) => Buffer.from(b).toString('hex')

// Results with bytes in them, such as a decoded nsec, become hex.
const plain = (v) => (v instanceof Uint8Array ? hex(v) : v)

// converse connects, publishes the events, logs in when sec is given, and
// returns the relay's answers and what the filter finds.
async function converse({ url, events, filter, sec }) {
  const relay = await Relay.connect(url)
  const publish = (e) => relay.publish(e).catch((refusal) => refusal.message)
  const answers = []
  for (const e of events) answers.push(await publish(e))
  const find = () =>
    new Promise((resolve) => {
      const found = []
      const sub = relay.subscribe([filter], {
        onevent: (e) => found.push(e),
        oneose: () => {
          resolve({ found })
          sub.close()
        },
        onclose: (reason) => resolve({ found, closed: reason }),
      })
    })
  const before = await find()
  if (sec) await relay.auth(async (template) => finalizeEvent(template, bytes(sec)))
  const after = await find()
  relay.close()
  return { answers, before, after }
}

serve({
  converse,

  pubkey: ({ sec }) => getPublicKey(bytes(sec)),
  hash: ({ event }) => getEventHash(event),
  sign: ({ event, sec }) => finalizeEvent(event, bytes(sec)),
  // A parsed copy: verifyEvent remembers its verdict inside the object.
  verify: ({ event }) => verifyEvent(JSON.parse(JSON.stringify(event))),

  decode: ({ code }) => {
    const { type, data } = nip19.decode(code)
    return { type, data: plain(data) }
  },
  npub: ({ value }) => nip19.npubEncode(value),
  nsec: ({ value }) => nip19.nsecEncode(bytes(value)),
  note: ({ value }) => nip19.noteEncode(value),
  nprofile: ({ value }) => nip19.nprofileEncode(value),
  nevent: ({ value }) => nip19.neventEncode(value),
  naddr: ({ value }) => nip19.naddrEncode(value),

  conversationKey: ({ sec, pub }) => hex(nip44.getConversationKey(bytes(sec), pub)),
  encrypt: ({ sec, pub, text }) => nip44.encrypt(text, nip44.getConversationKey(bytes(sec), pub)),
  decrypt: ({ sec, pub, payload }) => nip44.decrypt(payload, nip44.getConversationKey(bytes(sec), pub)),

  wrap: ({ event, sec, pub }) => nip59.wrapEvent(event, bytes(sec), pub),
  unwrap: ({ event, sec }) => nip59.unwrapEvent(event, bytes(sec)),
})
