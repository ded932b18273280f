// IPv4 options (RFC 791, net/ipv4/ip_options.c): the checks of ip_options_compile on receipt, what a router writes into
// record route and timestamp when it forwards, and which options later fragments lose.
//
// Source routes are refused as with accept_source_route=0 (the default of a router); echoing options back is left out.

import { PS_PER_MS } from '../../../hw/time/units.ts';
import { setIpv4Checksum } from './checksum.ts';

const IPOPT_END = 0;
const IPOPT_NOOP = 1;
const IPOPT_RR = 7;
const IPOPT_TIMESTAMP = 68;
const IPOPT_LSRR = 131;
const IPOPT_SSRR = 137;
const IPOPT_RA = 148;
const IPOPT_COPIED = 0x80;

/** Answer of compileOptions: nothing wrong. */
export const OPTION_OK = -1;
/** Drop without an ICMP error. */
export const OPTION_DROP = -2;

/** Checks the options of the header at `at`: OPTION_OK, OPTION_DROP, or the offset in the header that is wrong (parameter problem). */
export function compileOptions(bytes: Uint8Array, at: number): number {
  const end = at + (bytes[at] & 15) * 4;
  let seenRr = false;
  let seenTs = false;
  for (let i = at + 20; i < end;) {
    const kind = bytes[i];
    if (kind === IPOPT_END) return OPTION_OK;
    if (kind === IPOPT_NOOP) {
      i++;
      continue;
    }
    const length = i + 1 < end ? bytes[i + 1] : 0;
    if (length < 2 || i + length > end) return i - at;
    if (kind === IPOPT_LSRR || kind === IPOPT_SSRR) return OPTION_DROP;
    if (kind === IPOPT_RR) {
      if (length < 3) return i + 1 - at;
      if (bytes[i + 2] < 4) return i + 2 - at;
      if (seenRr) return i - at;
      if (bytes[i + 2] <= length && bytes[i + 2] + 3 > length) return i + 2 - at;
      seenRr = true;
    } else if (kind === IPOPT_TIMESTAMP) {
      if (seenTs) return i - at;
      if (length < 4) return i + 1 - at;
      if (bytes[i + 2] < 5) return i + 2 - at;
      seenTs = true;
    } else if (kind === IPOPT_RA && length < 4) return i + 1 - at;
    i += length;
  }
  return OPTION_OK;
}

/** What forwarding writes: the address of the way out into record route, time (and address) into a timestamp. */
export function stampForwardOptions(
  bytes: Uint8Array,
  at: number,
  address: Uint8Array,
  nowPs: number,
): void {
  const end = at + (bytes[at] & 15) * 4;
  let changed = false;
  for (let i = at + 20; i < end && bytes[i] !== IPOPT_END;) {
    if (bytes[i] === IPOPT_NOOP) {
      i++;
      continue;
    }
    const length = bytes[i + 1];
    if (bytes[i] === IPOPT_RR) changed = recordRoute(bytes, i, length, address) || changed;
    if (bytes[i] === IPOPT_TIMESTAMP)
      changed = stampTime(bytes, i, length, address, nowPs) || changed;
    i += length;
  }
  if (changed) setIpv4Checksum(bytes, at);
}

function recordRoute(bytes: Uint8Array, i: number, length: number, address: Uint8Array): boolean {
  const pointer = bytes[i + 2];
  if (pointer + 3 > length) return false;
  bytes.set(address, i + pointer - 1);
  bytes[i + 2] = pointer + 4;
  return true;
}

function stampTime(
  bytes: Uint8Array,
  i: number,
  length: number,
  address: Uint8Array,
  nowPs: number,
): boolean {
  const flag = bytes[i + 3] & 15;
  let pointer = bytes[i + 2];
  const room = flag === 0 ? 4 : 8;
  if (flag !== 0 && flag !== 1) return false;
  if (pointer + room - 1 > length) {
    // Full: the overflow counter in the upper half of the flag byte.
    if (bytes[i + 3] >> 4 === 15) return false;
    bytes[i + 3] += 0x10;
    return true;
  }
  if (flag === 1) {
    bytes.set(address, i + pointer - 1);
    pointer += 4;
  }
  const milliseconds = Math.floor(nowPs / PS_PER_MS) % 86_400_000;
  bytes[i + pointer - 1] = milliseconds >>> 24;
  bytes[i + pointer] = milliseconds >>> 16;
  bytes[i + pointer + 1] = milliseconds >>> 8;
  bytes[i + pointer + 2] = milliseconds;
  bytes[i + 2] = pointer + 4;
  return true;
}

/** ip_options_fragment: in fragments after the first, options without the copied flag become no-ops. */
export function blankUncopiedOptions(bytes: Uint8Array, at: number): void {
  const end = at + (bytes[at] & 15) * 4;
  for (let i = at + 20; i < end && bytes[i] !== IPOPT_END;) {
    if (bytes[i] === IPOPT_NOOP) {
      i++;
      continue;
    }
    const length = bytes[i + 1];
    if (length < 2 || i + length > end) return;
    if ((bytes[i] & IPOPT_COPIED) === 0) bytes.fill(IPOPT_NOOP, i, i + length);
    i += length;
  }
}
