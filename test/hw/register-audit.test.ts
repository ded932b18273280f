// Every register of the map at register level: write, let time pass, read. Registers that are plain memory, read-only or statistics
// are checked by kind; every other one has a line here, with the data sheet's offsets repeated on purpose, so that none is modelled
// without being probed. The registers that the project promises to drivers must all be among the modelled ones.
import { describe, expect, it } from 'vitest';
import { offsetOf, placesOf } from '../../hw/register-def.ts';
import { REGISTERS } from '../../hw/register-map.ts';
import { Bench, MEMORY_BASE } from './harness.ts';

/** Offset, value written, value read some time later. */
type Probe = readonly [offset: number, written: number, read: number];

const US = 1e6;
/** The link is trained and the EEPROM read by then. */
const LATER_PS = 30_000 * US;
const RING = MEMORY_BASE + 0x380;

const same = (offset: number, value: number): Probe => [offset, value, value];

/** Line by register; of arrays also the last one, where it lies apart. */
const PROBES: Record<string, readonly Probe[]> = {
  CTRL: [[0x00000, 0x04000008, 0]], // RST and LNK_RST clear themselves
  STATUS: [[0x00008, 0, 0x00080080]], // LINK_UP, GIO_MASTER_ENABLE
  CTRL_EXT: [same(0x00018, 0x10000000)],
  FRTIMER: [[0x00048, 0, 30_000]],
  TCPTIMER: [[0x0004c, 0x00000b05, 0x00000a05]], // KICK_START reads 0
  EEC: [[0x10010, 0x40, 0x3bc0 | 0x400]], // REQ is granted; PRES, ARD, size
  EERD: [
    [0x10018, 0xabcd00c1, 0xabcd00c2], // EEWR, word 0x30: DONE
    [0x10014, 0xc1, 0xabcd00c2],
  ],
  EEWR: [[0x10018, 0xabcd0001 | (0x30 << 2), 0xabcd0002 | (0x30 << 2)]],
  SWSM: [[0x10140, 0, 0]], // SMBI free: this read takes it
  GSSR: [same(0x10160, 0x1)],
  SECTXCTRL: [same(0x08800, 0x3)],
  SECRXCTRL: [same(0x08d00, 0x3)],
  EICR: [[0x00800, 0xffffffff, 0]],
  EICS: [[0x00808, 0x100, 0]], // write only
  EIAC: [same(0x00810, 0xffff)],
  EIMS: [same(0x00880, 0x001000ff)],
  EIMC: [[0x00888, 0xffffffff, 0]],
  EIAM: [same(0x00890, 0xffff)],
  GPIE: [same(0x00898, 0xc0000030)],
  EICS_EX: [[0x00a90, 1, 0]],
  EIMS_EX: [same(0x00aa0, 0xffff0000), same(0x00aa4, 0x3)],
  EIMC_EX: [[0x00ab0, 0xffffffff, 0]],
  EIAM_EX: [same(0x00ad0, 0xff)],
  EITR: [
    [0x00820, 0x80000ff8, 0x00000ff8], // CNT_WDIS reads 0
    [0x00820, 0x001f8ff8, 0x001f8ff8],
    [0x12300, 0x0ff8, 0x0ff8],
  ],
  IVAR: [same(0x00900, 0x83828180), same(0x009fc, 0x80808080)],
  IVAR_MISC: [same(0x00a00, 0x8180)],
  RDBAL: [[0x01000, RING + 5, RING], same(0x0d000 + 0x40 * 63, RING)],
  RDBAH: [same(0x01004, 1), same(0x0d004, 1)],
  RDLEN: [same(0x01008, 4096), same(0x0d008, 4096)],
  RDH: [same(0x01010, 3), [0x0d010, 3, 0]], // queue 64: the configuration lacks it
  SRRCTL: [same(0x01014, 0x02000402), same(0x02104, 0x02000403), same(0x0d014, 0x02000402)],
  RDT: [same(0x01018, 7), same(0x0d018, 7)],
  RXDCTL: [same(0x01028, 0x42000000), same(0x0d028, 0x02000000)],
  RSCCTL: [[0x0102c, 0x5, 0x4]], // RSCEN is refused
  RXCTRL: [same(0x03000, 1)],
  RXPBSIZE: [[0x03c00, 0x00040000, 0x00040000]],
  RDRXCTL: [[0x02f00, 0x2, 0xa]], // DMAIDONE
  FCTRL: [same(0x05080, 0x702)],
  VLNCTRL: [same(0x05088, 0x40008100)],
  EXVET: [same(0x05078, 0x88a80000)],
  MCSTCTRL: [same(0x05090, 0x4)],
  RAL: [same(0x0a200 + 8 * 127, 0x33221100), same(0x05408, 0x33221100)],
  RAH: [same(0x0a204 + 8 * 127, 0x80005544), same(0x0540c, 0x80005544)],
  MRQC: [same(0x0ec80, 0x00330001), same(0x05818, 0x00310001)],
  RETA: [same(0x0eb00 + 4 * 31, 0x03020100), same(0x05c00, 0x01010101)],
  RSSRK: [same(0x0eb80 + 4 * 9, 0xfa01ac6a), same(0x05c80, 0x6d5a56da)],
  RQSMR: [same(0x02300 + 4 * 31, 0x0f0e0d0c)],
  TDBAL: [[0x06000, RING + 9, RING], same(0x07fc0, RING)],
  TDBAH: [same(0x06004, 1)],
  TDLEN: [same(0x06008, 4096)],
  TDH: [same(0x06010, 3)],
  TDT: [same(0x06018, 0)],
  TXDCTL: [same(0x06028, 0x02080120)],
  TDWBAL: [same(0x06038, MEMORY_BASE + 1)],
  TDWBAH: [same(0x0603c, 0)],
  DMATXCTL: [same(0x04a80, 0x81000009)],
  DTXMXSZRQ: [same(0x08100, 0x0fff)],
  TXPBSIZE: [same(0x0cc00, 0x00014000)],
  TXPBTHRESH: [same(0x04950, 0x40)],
  TQSM: [same(0x08600 + 4 * 31, 0x03020100)],
  HLREG0: [same(0x04240, 0x407)],
  MAXFRS: [same(0x04268, 0x24000000)],
  AUTOC: [[0x042a0, 0x7001, 0x6001]], // AN_RESTART clears itself
  LINKS: [[0x042a4, 0, 0x70000000]],
  RTRUP2TC: [same(0x03020, 0x00fac688)],
  RTTUP2TC: [same(0x0c800, 0x00fac688)],
  FCTTV: [same(0x03200, 0x06800680)],
  FCRTL: [same(0x03220, 0x80008000)],
  FCRTH: [same(0x03260, 0x80010000)],
  FCRTV: [same(0x032a0, 0x340)],
  FCCFG: [same(0x03d00, 0x8)],
  MFLCN: [same(0x04294, 0xa)],
  SAQF: [same(0x0e000 + 4 * 127, 0x0100000a)],
  DAQF: [same(0x0e200 + 4 * 127, 0x0200000a)],
  SDPQF: [same(0x0e400 + 4 * 127, 0x00500401)],
  FTQF: [same(0x0e600 + 4 * 127, 0xc0000004)],
  L34TIMIR: [same(0x0e800 + 4 * 127, 0x00681000)],
  LLITHRESH: [same(0x0ec90, 128)],
  IMIRVP: [same(0x05ac0, 0xe)],
  ETQF: [same(0x05128 + 4 * 7, 0x800088cc)],
  ETQS: [same(0x0ec00 + 4 * 7, 0x80010000)],
  SYNQF: [same(0x0ec30, 0x80000003)],
  FDIRCTRL: [[0x0ee00, 0x0a060011, 0x0a060019]], // INIT_DONE
  FDIRCMD: [[0x0ee2c, 0x8041, 0x8040]], // CMD reads 0 once it was executed
  FDIRFREE: [[0x0ee38, 5, 0]],
  FDIRDIP4M: [same(0x0ee3c, 0xff)],
  FDIRSIP4M: [same(0x0ee40, 0xff)],
  FDIRTCPM: [same(0x0ee44, 0xffff)],
  FDIRUDPM: [same(0x0ee48, 0xffff)],
  FDIRLEN: [[0x0ee4c, 5, 0]],
  FDIRUSTAT: [[0x0ee50, 5, 0]],
  FDIRFSTAT: [[0x0ee54, 5, 0]],
  FDIRMATCH: [[0x0ee58, 5, 0]],
  FDIRMISS: [[0x0ee5c, 5, 0]],
  FDIRHKEY: [same(0x0ee68, 0x3dad14e2)],
  FDIRSKEY: [same(0x0ee6c, 0x174d3614)],
  FDIRM: [same(0x0ee70, 0x34)],
  FDIRIP6M: [same(0x0ee74, 0xffff0000)],
  X_RSSCAP: [[0x1f000, 1, 128 | (8 << 16) | (40 << 24)]],
  X_RSSCTX: [
    [0x1f004, 99, 0],
    [0x1f004, 1, 1],
  ],
  X_RSSFUNC: [same(0x1f008, 0x101)],
  X_RSSQBITS: [[0x1f010, 0, 4]],
  X_RSSKEY: [same(0x1f040, 0x01020304)],
  X_RETA: [same(0x1f400, 0x03020100)],
  X_RETA_256_UP: [[0x1f800, 0x03020100, 0]], // the table has 128 entries
};

describe('the register map', () => {
  it('has a probe for every register that does something', () => {
    const hooks = REGISTERS.filter((def) => def.access === 'hook').map((def) => def.name);
    expect(hooks.filter((name) => !(name in PROBES))).toEqual([]);
    expect(Object.keys(PROBES).filter((name) => !hooks.includes(name))).toEqual([]);
  });

  it('has what drivers are promised', () => {
    const promised =
      'CTRL EEC RDRXCTL LINKS AUTOC HLREG0 RXPBSIZE TXPBSIZE DTXMXSZRQ RTTDCS FCTRL RXCTRL DMATXCTL SRRCTL DCA_RXCTRL ' +
      'RXDCTL TXDCTL RDBAL RDBAH RDLEN RDH RDT TDBAL TDBAH TDLEN TDH TDT EICR EICS EIMS EIMC EIAC GPIE IVAR EITR RAL RAH ' +
      'MTA UTA VFTA MRQC RETA RSSRK SAQF DAQF SDPQF FTQF ETQF ETQS SYNQF FDIRCTRL FDIRCMD FDIRHASH FDIRFREE GPRC GPTC ' +
      'GORCL GORCH GOTCL GOTCH MPC QPRC QPTC QPRDC RNBC TCPTIMER LLITHRESH IMIRVP PSRTYPE';
    const names = new Set(REGISTERS.map((def) => def.name));
    expect(promised.split(' ').filter((name) => !names.has(name))).toEqual([]);
  });

  it.each(Object.entries(PROBES))('%s: write, wait, read', (_name, probes) => {
    const b = new Bench();
    for (const [offset, written, read] of probes) {
      b.w(0, offset, written);
      b.pass(LATER_PS);
      expect(b.r(0, offset).toString(16)).toBe((read >>> 0).toString(16));
    }
    b.nic.checkInvariants();
  });

  it('keeps what is plain memory, at every place where it is mapped', () => {
    const b = new Bench();
    const plain = REGISTERS.filter((def) => def.access === 'rw');
    expect(plain.map((def) => def.name)).toContain('RTTDCS');
    for (const def of plain) {
      expect(b.r(0, def.offset), def.name).toBe(def.reset >>> 0);
      for (const { offset, index } of placesOf(def)) {
        const value = (0x9e3779b1 * (offset + 1)) >>> 0;
        b.w(0, offset, value);
        expect(b.r(0, offsetOf(def, index)), def.name).toBe(value);
      }
    }
    b.w(0, 0, 0x04000000);
    b.pass(LATER_PS);
    for (const def of plain) expect(b.r(0, def.offset), def.name).toBe(def.reset >>> 0);
  });

  it('ignores writes to what is read-only, and reads statistics of a device at rest as 0', () => {
    const b = new Bench();
    for (const def of REGISTERS) {
      if (def.access !== 'ro' && def.access !== 'rc') continue;
      for (const { offset } of placesOf(def)) {
        b.w(0, offset, 0xffffffff);
        expect(b.r(0, offset), def.name).toBe(def.reset >>> 0);
      }
    }
  });
});
