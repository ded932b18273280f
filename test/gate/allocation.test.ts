// No allocation per packet on the hardware path: heap growth at N and 2N packets, in a child process on built output (vitest's
// transform would change what is measured). GC timers and interrupts make a few objects a second: far below one byte a packet.

import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

it('allocates less than one byte per packet that stays in hardware', () => {
  const child = new URL('heap-growth.mjs', import.meta.url).pathname;
  // Compiled in step with the program: with the compiler in another thread V8 now and then inlines one call less, and a time that
  // crosses it becomes 15 bytes of boxed number per packet. That is V8's garbage, not ours, and would make this a matter of luck.
  const flags = [
    '--no-concurrent-recompilation',
    '--expose-gc',
    '--min-semi-space-size=256',
    '--max-semi-space-size=256',
  ];
  const output = execFileSync(process.execPath, [...flags, child], { encoding: 'utf8' });
  const found = JSON.parse(output) as {
    bytesPerPacket: number;
    hardware: number;
    packets: number;
  };
  expect(found.hardware / found.packets).toBeGreaterThan(0.99);
  expect(found.bytesPerPacket).toBeLessThan(1);
});
