// serve answers JSON lines on stdin with the functions in ops, one at a time.
import { createInterface } from 'node:readline'

export async function serve(ops) {
  for await (const line of createInterface({ input: process.stdin })) {
    let answer
    try {
      const { op, ...args } = JSON.parse(line)
      if (!Object.hasOwn(ops, op)) throw new Error(`no op ${op}`)
      answer = { result: await ops[op](args) }
    } catch (e) {
      answer = { error: String(e?.message ?? e) }
    }
    process.stdout.write(JSON.stringify(answer) + '\n')
  }
  process.exit() // a peer's timers may still run
}
