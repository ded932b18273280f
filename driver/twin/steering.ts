// RSS: key, redirection table, and which headers are hashed (82599 datasheet 7.1.2.8; ixgbe_setup_mrqc).

import type { TwinAdapter } from './adapter.ts';
import {
  MRQC,
  MRQC_RSS_FIELD_IPV4,
  MRQC_RSS_FIELD_IPV4_TCP,
  MRQC_RSS_FIELD_IPV4_UDP,
  MRQC_RSS_FIELD_IPV6,
  MRQC_RSS_FIELD_IPV6_TCP,
  MRQC_RSS_FIELD_IPV6_UDP,
  MRQC_RSSEN,
  RETA,
  RSSRK,
  RXCSUM,
  RXCSUM_IPPCSE,
  RXCSUM_PCSD,
} from '../../hw/regs.ts';

/** Fills the redirection table with i % queues, the default. */
export function resetReta(adapter: TwinAdapter): void {
  for (let i = 0; i < adapter.reta.length; i++) adapter.reta[i] = i % adapter.queueCount;
}

/** Writes key, table and hash types. */
export function programRss(adapter: TwinAdapter): void {
  const { bar0, rssKey, reta } = adapter;
  for (let i = 0; i < 10; i++) bar0.write32(RSSRK(i), word(rssKey, 4 * i));
  for (let i = 0; i < reta.length / 4; i++) bar0.write32(RETA(i), word(reta, 4 * i));
  let mrqc =
    MRQC_RSS_FIELD_IPV4 | MRQC_RSS_FIELD_IPV4_TCP | MRQC_RSS_FIELD_IPV6 | MRQC_RSS_FIELD_IPV6_TCP;
  if (adapter.rssUdp) mrqc |= MRQC_RSS_FIELD_IPV4_UDP | MRQC_RSS_FIELD_IPV6_UDP;
  bar0.write32(MRQC, mrqc | MRQC_RSSEN);
  // PCSD: the descriptor carries the hash, not a fragment checksum.
  bar0.write32(RXCSUM, RXCSUM_PCSD | RXCSUM_IPPCSE);
}

/** Four bytes, lowest address in bits 7:0. */
function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}
