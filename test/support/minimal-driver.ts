// The smallest driver that does a whole job, written from docs/registers.md and the descriptor formats of the 82599 data sheet
// only: it imports nothing of the model. Polling, one queue each way, its own ArrayBuffers. It stands for drivers that others
// have written; test/driver/two-drivers.test.ts runs the same tests against it and the reference driver.

/** What it needs of the world: registers, memory mapping, sleep. */
export interface Machine {
  read32(offset: number): number;
  write32(offset: number, value: number): void;
  map(memory: ArrayBuffer): number;
  usleep(microseconds: number): void;
}

const BUFFER_BYTES = 2048;
const DESCRIPTOR_BYTES = 16;
const ENABLE = 1 << 25;

/** A ring of descriptors with one buffer each, in memory of its own. */
class Ring {
  readonly iova: number;
  readonly slots: number;
  next = 0;
  private readonly words: DataView;
  private readonly buffers: Uint8Array;
  private readonly buffersIova: number;

  constructor(machine: Machine, slots: number) {
    this.slots = slots;
    const ring = new ArrayBuffer(slots * DESCRIPTOR_BYTES);
    const data = new ArrayBuffer(slots * BUFFER_BYTES);
    this.words = new DataView(ring);
    this.buffers = new Uint8Array(data);
    this.iova = machine.map(ring);
    this.buffersIova = machine.map(data);
  }

  buffer(slot: number): Uint8Array {
    return this.buffers.subarray(slot * BUFFER_BYTES, (slot + 1) * BUFFER_BYTES);
  }

  get(slot: number, word: number): number {
    return this.words.getUint32(slot * DESCRIPTOR_BYTES + 4 * word, true);
  }

  set(slot: number, word2: number, word3: number): void {
    const at = slot * DESCRIPTOR_BYTES;
    const address = BigInt(this.buffersIova + slot * BUFFER_BYTES);
    this.words.setBigUint64(at, address, true);
    this.words.setUint32(at + 8, word2, true);
    this.words.setUint32(at + 12, word3, true);
  }

  after(slot: number): number {
    return (slot + 1) % this.slots;
  }
}

export class MinimalDriver {
  readonly mac = new Uint8Array(6);
  private readonly machine: Machine;
  private readonly rx: Ring;
  private readonly tx: Ring;
  /** Oldest slot not yet reclaimed. */
  private txClean = 0;
  private pieces: Uint8Array[] = [];

  constructor(machine: Machine, slots: number) {
    this.machine = machine;
    this.rx = new Ring(machine, slots);
    this.tx = new Ring(machine, slots);
  }

  /** Resets and initialises the function and waits for the link. */
  start(): void {
    const m = this.machine;
    m.write32(0x00888, 0x7fffffff); // EIMC: no interrupts
    m.write32(0x00000, (1 << 26) | (1 << 3)); // CTRL: RST and LNK_RST
    this.waitUntil('reset', () => (m.read32(0x00000) & ((1 << 26) | (1 << 3))) === 0);
    m.usleep(10_000);
    m.write32(0x00888, 0x7fffffff);
    this.waitUntil('EEPROM', () => (m.read32(0x10010) & (1 << 9)) !== 0); // EEC.ARD
    this.waitUntil('DMA', () => (m.read32(0x02f00) & (1 << 3)) !== 0); // RDRXCTL.DMAIDONE
    const low = m.read32(0x0a200); // RAL 0
    const high = m.read32(0x0a204); // RAH 0
    for (let i = 0; i < 6; i++) this.mac[i] = i < 4 ? low >>> (8 * i) : high >>> (8 * (i - 4));
    m.write32(0x042a0, m.read32(0x042a0) | (1 << 12)); // AUTOC: restart
    this.readStats();
    this.startReceive();
    this.startTransmit();
    this.waitUntil('link', () => (m.read32(0x042a4) & (1 << 30)) !== 0); // LINKS.UP
  }

  /** Stops both queues and waits until they have stopped. */
  stop(): void {
    const m = this.machine;
    m.write32(0x01028, 0);
    m.write32(0x06028, 0);
    this.waitUntil('RX off', () => (m.read32(0x01028) & ENABLE) === 0);
    this.waitUntil('TX off', () => (m.read32(0x06028) & ENABLE) === 0);
    m.write32(0x03000, 0); // RXCTRL
  }

  /** Posts one frame; false when the ring is full. */
  send(frame: Uint8Array): boolean {
    const { tx } = this;
    while (this.txClean !== tx.next && (tx.get(this.txClean, 3) & 1) !== 0)
      this.txClean = tx.after(this.txClean);
    const count = Math.ceil(frame.length / BUFFER_BYTES);
    const free = (this.txClean - tx.next - 1 + tx.slots) % tx.slots;
    if (free < count) return false;
    for (let done = 0; done < frame.length; done += BUFFER_BYTES) {
      const piece = frame.subarray(done, done + BUFFER_BYTES);
      const isEnd = done + piece.length === frame.length;
      tx.buffer(tx.next).set(piece);
      // Data descriptor (DTYP 3, DEXT), IFCS and RS, EOP on the last; PAYLEN 31:14.
      const command = (3 << 20) | (1 << 29) | (1 << 25) | (1 << 27) | (isEnd ? 1 << 24 : 0);
      tx.set(tx.next, piece.length | command, frame.length << 14);
      tx.next = tx.after(tx.next);
    }
    this.machine.write32(0x06018, tx.next); // TDT
    return true;
  }

  /** Takes what the device has written, up to `limit` frames. */
  poll(limit: number): Uint8Array[] {
    const { rx } = this;
    const frames: Uint8Array[] = [];
    let last = -1;
    while (frames.length < limit && (rx.get(rx.next, 2) & 1) !== 0) {
      const status = rx.get(rx.next, 2);
      this.pieces.push(rx.buffer(rx.next).slice(0, rx.get(rx.next, 3) & 0xffff));
      if ((status & 2) !== 0) {
        frames.push(join(this.pieces));
        this.pieces = [];
      }
      rx.set(rx.next, 0, 0);
      last = rx.next;
      rx.next = rx.after(rx.next);
    }
    if (last >= 0) this.machine.write32(0x01018, last); // RDT
    return frames;
  }

  /** Reads (and clears) the statistics. */
  readStats(): { rx: number; tx: number; missed: number; noDescriptor: number } {
    const m = this.machine;
    const stats = {
      rx: m.read32(0x04074), // GPRC
      tx: m.read32(0x04080), // GPTC
      missed: m.read32(0x03fa0), // MPC 0
      noDescriptor: m.read32(0x01430), // QPRDC 0
    };
    for (const octets of [0x04088, 0x0408c, 0x04090, 0x04094]) m.read32(octets);
    return stats;
  }

  private startReceive(): void {
    const { machine: m, rx } = this;
    m.write32(0x03000, 0); // RXCTRL: off
    m.write32(0x03c00, 128 << 10); // RXPBSIZE 0: 128 KiB
    m.write32(0x04240, m.read32(0x04240) | (1 << 1) | (1 << 2)); // HLREG0: strip CRC, jumbo
    m.write32(0x04268, 9728 << 16); // MAXFRS
    m.write32(0x02f00, m.read32(0x02f00) | (1 << 1)); // RDRXCTL: CRCSTRIP
    m.write32(0x05080, m.read32(0x05080) | (7 << 8)); // FCTRL: MPE, UPE, BAM
    m.write32(0x01014, 2 | (1 << 25) | (1 << 28)); // SRRCTL 0: 2 KiB, one buffer, DROP_EN
    m.write32(0x01000, rx.iova % 2 ** 32);
    m.write32(0x01004, Math.floor(rx.iova / 2 ** 32));
    m.write32(0x01008, rx.slots * DESCRIPTOR_BYTES);
    m.write32(0x01010, 0);
    m.write32(0x01018, 0);
    rx.next = 0;
    for (let slot = 0; slot < rx.slots; slot++) rx.set(slot, 0, 0);
    m.write32(0x01028, ENABLE);
    this.waitUntil('RX on', () => (m.read32(0x01028) & ENABLE) !== 0);
    m.write32(0x01018, rx.slots - 1);
    m.write32(0x03000, 1); // RXCTRL: on
  }

  private startTransmit(): void {
    const { machine: m, tx } = this;
    m.write32(0x04240, m.read32(0x04240) | 1 | (1 << 10)); // HLREG0: CRC, padding
    m.write32(0x04900, m.read32(0x04900) & ~(1 << 6)); // RTTDCS: arbiter on
    m.write32(0x06000, tx.iova % 2 ** 32);
    m.write32(0x06004, Math.floor(tx.iova / 2 ** 32));
    m.write32(0x06008, tx.slots * DESCRIPTOR_BYTES);
    m.write32(0x06010, 0);
    m.write32(0x06018, 0);
    tx.next = 0;
    this.txClean = 0;
    for (let slot = 0; slot < tx.slots; slot++) tx.set(slot, 0, 0);
    m.write32(0x04a80, m.read32(0x04a80) | 1); // DMATXCTL.TE
    m.write32(0x06028, ENABLE | 8 | (4 << 8)); // TXDCTL: PTHRESH 8, HTHRESH 4
    this.waitUntil('TX on', () => (m.read32(0x06028) & ENABLE) !== 0);
  }

  private waitUntil(what: string, isDone: () => boolean): void {
    for (let tries = 0; tries < 10_000; tries++) {
      if (isDone()) return;
      this.machine.usleep(10);
    }
    throw new Error(`${what}: time-out`);
  }
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
