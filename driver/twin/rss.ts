// RSS of the reference driver: keys, indirection tables, hash functions, contexts, and which headers are hashed (82599 datasheet
// 7.1.2.8; ixgbe_setup_mrqc). The port's own context lives in RETA and RSSRK; what those cannot hold (more than 128 entries, other
// hash functions, further contexts) goes through the extension block, if the device has one.

import type { Mmio } from '../mmio.ts';
import { ENOSPC, EOPNOTSUPP } from '../errno.ts';
import { ETH_RSS_HASH_TOP, ETH_RSS_HASH_XOR } from '../ethtool.ts';
import type { EthtoolRxFh, RxFhChange } from '../ethtool.ts';
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
import * as S from '../../hw/steering/regs.ts';

/** The Microsoft verification key (spec/hardware.md 2.1): the default here, so that published vectors apply. */
export const DEFAULT_RSS_KEY: readonly number[] = [
  0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
  0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
  0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/** What an 82599 has, which knows no extension block. */
const PLAIN_ENTRIES = 128;
const PLAIN_KEY_BYTES = 40;
const PLAIN_ENTRY_BITS = 4;

export class RssDriver {
  /** Entries of every table. */
  tableEntries = PLAIN_ENTRIES;
  keyBytes = PLAIN_KEY_BYTES;
  /** Queues that an entry can name. */
  queueLimit = 1 << PLAIN_ENTRY_BITS;
  contextCount = 0;
  /** Hash UDP ports, by IP version. */
  udp4 = false;
  udp6 = false;
  /** Contexts by id; null: free. */
  readonly contexts: (EthtoolRxFh | null)[] = [];
  private hasExtension = false;
  private readonly bar0: Mmio;

  constructor(bar0: Mmio) {
    this.bar0 = bar0;
  }

  /** Reads what the device has; makes the own context with the default key and `queues` queues. */
  probe(queues: number): void {
    const caps = this.bar0.read32(S.X_RSSCAP);
    this.hasExtension = caps !== 0;
    if (this.hasExtension) {
      this.tableEntries = caps & 0xffff;
      this.contextCount = (caps >>> 16) & 0xff;
      this.keyBytes = caps >>> 24;
      this.queueLimit = 1 << this.bar0.read32(S.X_RSSQBITS);
    }
    this.contexts.length = 0;
    this.contexts.push(this.fresh(queues));
    for (let i = 0; i < this.contextCount; i++) this.contexts.push(null);
  }

  /** The device's own context. */
  get main(): EthtoolRxFh {
    return this.contexts[0] as EthtoolRxFh;
  }

  /** Fills a table with i % queues, the default. */
  resetTable(context: EthtoolRxFh, queues: number): void {
    const reachable = Math.min(queues, this.queueLimit);
    for (let i = 0; i < context.indir.length; i++) context.indir[i] = i % reachable;
  }

  /** Writes everything: contexts, hash types, checksum or hash in the descriptor. */
  program(): void {
    this.contexts.forEach((context, id) => {
      if (context !== null) this.write(id, context);
    });
    this.writeTypes();
    // PCSD: the descriptor carries the hash, not a fragment checksum.
    this.bar0.write32(RXCSUM, RXCSUM_PCSD | RXCSUM_IPPCSE);
  }

  /** Writes the hash types. */
  writeTypes(): void {
    let mrqc = MRQC_RSS_FIELD_IPV4 | MRQC_RSS_FIELD_IPV4_TCP;
    mrqc |= MRQC_RSS_FIELD_IPV6 | MRQC_RSS_FIELD_IPV6_TCP;
    if (this.udp4) mrqc |= MRQC_RSS_FIELD_IPV4_UDP;
    if (this.udp6) mrqc |= MRQC_RSS_FIELD_IPV6_UDP;
    this.bar0.write32(MRQC, mrqc | MRQC_RSSEN);
  }

  /** Changes a context; the device is written when `isLive`. −EOPNOTSUPP for a hash function that it lacks. */
  change(id: number, change: RxFhChange, queues: number, isLive: boolean): number {
    const context = this.contexts[id] as EthtoolRxFh;
    const { hfunc, symmetricXor } = change;
    const known = this.hasExtension ? ETH_RSS_HASH_TOP | ETH_RSS_HASH_XOR : ETH_RSS_HASH_TOP;
    if (hfunc !== undefined && (hfunc & known) === 0) return -EOPNOTSUPP;
    if (symmetricXor === true && !this.hasExtension) return -EOPNOTSUPP;
    if (change.indir === 'reset') this.resetTable(context, queues);
    else if (change.indir !== undefined) context.indir.set(change.indir);
    if (change.key !== undefined) context.key.set(change.key);
    if (hfunc !== undefined) context.hfunc = hfunc;
    if (symmetricXor !== undefined) context.symmetricXor = symmetricXor;
    if (isLive) this.write(id, context);
    return 0;
  }

  /** Makes a context with the own one's key: its id, −ENOSPC, or why the change is refused. */
  create(change: RxFhChange, queues: number, isLive: boolean): number {
    const id = this.contexts.indexOf(null);
    if (id < 0) return -ENOSPC;
    const context = this.fresh(queues);
    context.key.set(this.main.key);
    this.contexts[id] = context;
    const error = this.change(id, change, queues, isLive);
    if (error === 0) return id;
    this.contexts[id] = null;
    return error;
  }

  remove(id: number): void {
    this.contexts[id] = null;
  }

  private fresh(queues: number): EthtoolRxFh {
    const context: EthtoolRxFh = {
      indir: new Uint8Array(this.tableEntries),
      key: new Uint8Array(this.keyBytes),
      hfunc: ETH_RSS_HASH_TOP,
      symmetricXor: false,
    };
    context.key.set(DEFAULT_RSS_KEY);
    this.resetTable(context, queues);
    return context;
  }

  private write(id: number, context: EthtoolRxFh): void {
    const { bar0 } = this;
    const { key, indir } = context;
    if (this.hasExtension) {
      bar0.write32(S.X_RSSCTX, id);
      const symmetric = context.symmetricXor ? S.RSS_SYMMETRIC_XOR : 0;
      const func = context.hfunc === ETH_RSS_HASH_XOR ? S.RSS_FUNC_XOR : S.RSS_FUNC_TOEPLITZ;
      bar0.write32(S.X_RSSFUNC, func | symmetric);
    }
    const isPlain = id === 0 && indir.length === PLAIN_ENTRIES && key.length === PLAIN_KEY_BYTES;
    const keyAt = isPlain ? RSSRK : S.X_RSSKEY;
    const tableAt = isPlain ? RETA : S.X_RETA;
    for (let i = 0; i < key.length / 4; i++) bar0.write32(keyAt(i), word(key, 4 * i));
    for (let i = 0; i < indir.length / 4; i++) bar0.write32(tableAt(i), word(indir, 4 * i));
  }
}

/** Four bytes, lowest address in bits 7:0. */
function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}
