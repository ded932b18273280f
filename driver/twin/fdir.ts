// Flow Director as the reference driver uses it (ixgbe_82599.c's way): perfect filters with one mask for the port, or signature
// filters for ATR; never both. A filter is known by its software index; bucket hashes are computed here as the device computes them.
//
// FDIRCMD is polled after perfect filters (10 times 10 us, spec/hardware.md 4.1), not after ATR's.

import { EINVAL, EIO, ENOSPC } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import type { Mmio } from '../mmio.ts';
import { BUCKET_KEY, SIGNATURE_KEY, fdirHash } from '../../hw/steering/fdir-hash.ts';
import * as R from '../../hw/regs.ts';
import * as S from '../../hw/steering/regs.ts';

/** What a perfect filter compares; numbers as in the packet. */
export interface FdirInput {
  /** FLOW_UDP, FLOW_TCP, FLOW_SCTP, 0 for any IPv4 packet without ports. */
  flowType: number;
  src: number;
  dst: number;
  /** Source port << 16 | destination port. */
  ports: number;
  vlan: number;
  /** Flexible bytes. */
  flex: number;
}

/** What a filter does. */
export interface FdirAction {
  drop: boolean;
  queue: number;
  /** RSS context, 0 for none. */
  context: number;
}

/** Everything compared: the mask of exact 5-tuples. */
export const FULL_FDIR_MASK: FdirInput = {
  flowType: 3,
  src: 0xffffffff,
  dst: 0xffffffff,
  ports: 0xffffffff,
  vlan: 0,
  flex: 0,
};

/** Queue that ixgbe names for drops. */
const DROP_QUEUE = 127;
/** Flexible bytes at word 6: the EtherType. */
const FLEX_WORD = 6;
/** As ixgbe: chains up to 10, an interrupt when 4 times 16 filters are left. */
const CHAIN_MAX = 10;
const LOW_THRESHOLD = 4;
const POLLS = 10;
const POLL_US = 10;
const INIT_POLLS = 100;

interface Entry {
  input: FdirInput;
  action: FdirAction;
}

/** Perfect filters that a share of the packet buffer holds (82599 7.1.2.7: two of them are kept free). */
export function fdirCapacity(pballoc: number): number {
  return (1024 << pballoc) - 2;
}

export class FlowDirectorDriver {
  pballoc = 1;
  /** What the device's table is set up for. */
  mode: 'off' | 'perfect' | 'signature' = 'off';
  /** Mask of all perfect filters; null while there is none. */
  mask: FdirInput | null = null;
  /** FDIRFSTAT, FDIRMATCH and FDIRMISS, accumulated. */
  addFailures = 0;
  matches = 0;
  misses = 0;

  private readonly kernel: Kernel;
  private readonly bar0: Mmio;
  private readonly entries = new Map<number, Entry>();

  constructor(kernel: Kernel, bar0: Mmio) {
    this.kernel = kernel;
    this.bar0 = bar0;
  }

  /** Perfect filters that fit. */
  get capacity(): number {
    return fdirCapacity(this.pballoc);
  }

  /** Filters in use. */
  get count(): number {
    return this.entries.size;
  }

  /** Sets the table up for a mode, empty but for the perfect filters that are known: 0 or −EIO. */
  start(mode: 'off' | 'perfect' | 'signature'): number {
    if (mode === 'off' && this.mode === 'off') return 0;
    const { bar0 } = this;
    this.mode = mode;
    const shareKib = mode === 'off' ? 0 : 32 << this.pballoc;
    bar0.write32(R.RXPBSIZE(0), (512 - shareKib) << R.RXPBSIZE_SHIFT);
    if (mode === 'off') {
      bar0.write32(S.FDIRCTRL, 0);
      return 0;
    }
    bar0.write32(S.FDIRHKEY, BUCKET_KEY);
    bar0.write32(S.FDIRSKEY, SIGNATURE_KEY);
    const perfect = mode === 'perfect' ? S.FDIRCTRL_PERFECT : 0;
    const ctrl =
      this.pballoc |
      perfect |
      (DROP_QUEUE << S.FDIRCTRL_DROP_Q_SHIFT) |
      (FLEX_WORD << S.FDIRCTRL_FLEX_SHIFT) |
      (CHAIN_MAX << S.FDIRCTRL_MAX_LENGTH_SHIFT) |
      (LOW_THRESHOLD << S.FDIRCTRL_FULL_THRESH_SHIFT);
    bar0.write32(S.FDIRCTRL, ctrl >>> 0);
    for (let i = 0; (bar0.read32(S.FDIRCTRL) & S.FDIRCTRL_INIT_DONE) === 0; i++) {
      if (i === INIT_POLLS) return -EIO;
      this.kernel.udelay(POLL_US);
    }
    this.writeMask(mode === 'perfect' && this.mask !== null ? this.mask : null);
    if (mode === 'perfect') for (const [id, entry] of this.entries) this.program(id, entry);
    return 0;
  }

  /** Forgets every filter; the device's are gone (reset) or go with the next `start`. */
  forget(): void {
    this.entries.clear();
    this.mask = null;
  }

  /** Whether filters of this mask can be added now. */
  takesMask(mask: FdirInput): boolean {
    return this.mask === null || sameInput(this.mask, mask);
  }

  /**
   * Adds or overwrites a filter: 0, −EINVAL for a mask other than that of the filters there are, −ENOSPC, −EIO when the device
   * does not answer.
   */
  add(id: number, input: FdirInput, mask: FdirInput, action: FdirAction): number {
    if (!this.takesMask(mask)) return -EINVAL;
    if (!this.entries.has(id) && this.entries.size >= this.capacity) return -ENOSPC;
    if (this.mask === null && this.mode === 'perfect') this.writeMask(mask);
    this.mask = mask;
    if (this.entries.has(id)) this.remove(id);
    this.mask = mask;
    const entry = { input, action };
    this.entries.set(id, entry);
    return this.mode === 'perfect' ? this.program(id, entry) : 0;
  }

  /** Removes a filter if it is there. */
  remove(id: number): void {
    const entry = this.entries.get(id);
    if (entry === undefined) return;
    this.entries.delete(id);
    if (this.mode === 'perfect') {
      this.bar0.write32(S.FDIRHASH, (this.bucketOf(entry.input) | (id << 16)) >>> 0);
      // Ask first: removing what is not there counts as a failure.
      if ((this.command(S.FDIRCMD_QUERY) & S.FDIRCMD_FILTER_VALID) !== 0)
        this.command(S.FDIRCMD_REMOVE);
    }
    if (this.entries.size === 0) this.mask = null;
  }

  /** ATR: teaches the device that packets of a flow, as it will receive them, go to `queue`. */
  addSignature(flowType: number, vlan: number, common: number, queue: number): void {
    const head = (flowType << 16) | vlan;
    const bucket = fdirHash(head, common, BUCKET_KEY);
    const signature = fdirHash(head, common, SIGNATURE_KEY);
    this.bar0.write32(S.FDIRHASH, (bucket | (signature << S.FDIRHASH_SIG_SHIFT)) >>> 0);
    const bits = S.FDIRCMD_ADD | S.FDIRCMD_FILTER_UPDATE | S.FDIRCMD_LAST | S.FDIRCMD_QUEUE_EN;
    const type = flowType << S.FDIRCMD_L4TYPE_SHIFT;
    this.bar0.write32(S.FDIRCMD, bits | type | (queue << S.FDIRCMD_RX_QUEUE_SHIFT));
  }

  /** Reads the counters that clear themselves. */
  updateCounters(): void {
    if (this.mode === 'off') return;
    this.addFailures += this.bar0.read32(S.FDIRFSTAT) & S.FDIRFSTAT_FADD_MASK;
    this.matches += this.bar0.read32(S.FDIRMATCH);
    this.misses += this.bar0.read32(S.FDIRMISS);
  }

  private program(id: number, { input, action }: Entry): number {
    const { bar0 } = this;
    bar0.write32(S.FDIRIPSA, swap32(input.src));
    bar0.write32(S.FDIRIPDA, swap32(input.dst));
    bar0.write32(S.FDIRPORT, ((input.ports << 16) | (input.ports >>> 16)) >>> 0);
    const flex = ((input.flex & 0xff) << 8) | (input.flex >>> 8);
    bar0.write32(S.FDIRVLAN, ((flex << 16) | input.vlan) >>> 0);
    bar0.write32(S.FDIRHASH, (this.bucketOf(input) | (id << S.FDIRHASH_SIG_SHIFT)) >>> 0);
    bar0.write32(S.X_FDIRCTX, action.context);
    const bits = S.FDIRCMD_ADD | S.FDIRCMD_FILTER_UPDATE | S.FDIRCMD_LAST | S.FDIRCMD_QUEUE_EN;
    const queue = action.drop ? DROP_QUEUE : action.queue;
    const drop = action.drop ? S.FDIRCMD_DROP : 0;
    const type = input.flowType << S.FDIRCMD_L4TYPE_SHIFT;
    const answer = this.command(bits | drop | type | (queue << S.FDIRCMD_RX_QUEUE_SHIFT));
    return (answer & S.FDIRCMD_CMD_MASK) === 0 ? 0 : -EIO;
  }

  /** Writes a command and waits for its end; what FDIRCMD shows then. */
  private command(cmd: number): number {
    const { bar0 } = this;
    bar0.write32(S.FDIRCMD, cmd >>> 0);
    let answer = bar0.read32(S.FDIRCMD);
    for (let i = 0; i < POLLS && (answer & S.FDIRCMD_CMD_MASK) !== 0; i++) {
      this.kernel.udelay(POLL_US);
      answer = bar0.read32(S.FDIRCMD);
    }
    return answer;
  }

  private bucketOf(input: FdirInput): number {
    const mask = this.mask ?? FULL_FDIR_MASK;
    const head = ((input.flowType & mask.flowType) << 16) | (input.vlan & mask.vlan);
    const common =
      (input.src & mask.src) ^
      (input.dst & mask.dst) ^
      (input.ports & mask.ports) ^
      ((input.flex & mask.flex) << 16);
    return fdirHash(head, common, BUCKET_KEY);
  }

  /** The global mask; null compares everything (ATR). */
  private writeMask(mask: FdirInput | null): void {
    const { bar0 } = this;
    const m = mask ?? { ...FULL_FDIR_MASK, vlan: 0xffff, flex: 0xffff };
    let fdirm = mask === null ? 0 : S.FDIRM_POOL | S.FDIRM_DIPV6;
    if ((m.vlan & 0xfff) === 0) fdirm |= S.FDIRM_VLANID;
    if ((m.vlan & 0xe000) === 0) fdirm |= S.FDIRM_VLANP;
    if (m.flowType === 0) fdirm |= S.FDIRM_L4P;
    if (m.flex === 0) fdirm |= S.FDIRM_FLEX;
    bar0.write32(S.FDIRM, fdirm);
    const ports = reverseHalves(~m.ports >>> 0);
    const swapped = ((ports << 16) | (ports >>> 16)) >>> 0;
    bar0.write32(S.FDIRTCPM, swapped);
    bar0.write32(S.FDIRUDPM, swapped);
    bar0.write32(S.FDIRSIP4M, swap32(~m.src >>> 0));
    bar0.write32(S.FDIRDIP4M, swap32(~m.dst >>> 0));
  }
}

function sameInput(a: FdirInput, b: FdirInput): boolean {
  return (
    a.flowType === b.flowType &&
    a.src >>> 0 === b.src >>> 0 &&
    a.dst >>> 0 === b.dst >>> 0 &&
    a.ports >>> 0 === b.ports >>> 0 &&
    a.vlan === b.vlan &&
    a.flex === b.flex
  );
}

function swap32(value: number): number {
  return (
    ((value >>> 24) | ((value >>> 8) & 0xff00) | ((value << 8) & 0xff0000) | (value << 24)) >>> 0
  );
}

/** The port mask registers have the bits of each half in the other order (datasheet 8.2.3.21.13). */
function reverseHalves(value: number): number {
  let out = 0;
  for (let bit = 0; bit < 32; bit++)
    if (((value >>> bit) & 1) !== 0) out |= 1 << ((bit & 16) + 15 - (bit & 15));
  return out >>> 0;
}
