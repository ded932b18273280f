// Registers of a function as a whole: reset and self-initialisation, EEPROM, semaphores, MAC and link, filters, packet buffers,
// security gates. Times from a reset to the bits that tell of its end are assumed: drivers allow far more.

import { TcpTimer } from './control/tcp-timer.ts';
import { resetFlowControl, splitChanged } from './mac/flow-control-registers.ts';
import type { PciFunction } from './function.ts';
import type { RegisterFile } from './register-file.ts';
import { PS_PER_US } from './time/units.ts';
import * as R from './regs.ts';

/** CTRL.RST and LNK_RST read 1 for this long, ps; Linux gives up after 10 us. */
const RESET_PS = 1 * PS_PER_US;
/** From a reset to RDRXCTL.DMAIDONE and EEC.ARD, ps; drivers wait 10 ms (82599 4.2.1.6). */
const DMA_INIT_PS = 100 * PS_PER_US;
const AUTO_READ_PS = 2000 * PS_PER_US;
/** One word over the EEPROM's serial bus, ps. */
const EEPROM_WORD_PS = 10 * PS_PER_US;
const STANDARD_FRAME_BYTES = 1518;
const MFS_UNLIMITED = 0xffff;
const SIZE_SHIFT = 10;
const SIZE_MASK = 0x3ff;
const TEN_GBPS = 10e9;

export class FunctionControl {
  private readonly fn: PciFunction;
  private readonly regs: RegisterFile;
  private resetPs = -Infinity;
  private resetBits = 0;
  private readonly tcpTimer: TcpTimer;
  /** EERD or EEWR is done at this time, ps. */
  private eepromPs = -Infinity;

  constructor(fn: PciFunction) {
    this.fn = fn;
    this.regs = fn.registers;
    this.tcpTimer = new TcpTimer(fn.ctx.scheduler, fn.msix);
    this.wireReset();
    this.wireEeprom();
    this.wireUnits();
    this.wireFilters();
    this.wireBuffers();
    this.wireLink();
  }

  /** Decodes the reset values. */
  loadDefaults(): void {
    const { fn, regs } = this;
    const { config } = fn.ctx;
    const port = fn.ctx.ports[fn.index];
    fn.isRxEnabled = false;
    fn.isDoubleVlan = false;
    fn.splitsHeaders = false;
    fn.filter.fctrl = 0;
    fn.filter.vlnctrl = regs.peek(R.VLNCTRL);
    fn.filter.mcstctrl = 0;
    fn.filter.isDoubleVlan = false;
    const size = (bytes: number): number => Math.min(bytes >>> SIZE_SHIFT, SIZE_MASK) << SIZE_SHIFT;
    regs.poke(R.RXPBSIZE(0), size(config.rxPacketBufferBytes));
    regs.poke(R.TXPBSIZE(0), size(config.txPacketBufferBytes));
    port.rxBufferBytes = config.rxPacketBufferBytes;
    port.txBufferBytes = config.txPacketBufferBytes;
    port.txFillBytes = Infinity;
    fn.txUnit.reads.setLimit(regs.peek(R.DTXMXSZRQ));
    this.tcpTimer.reset();
    resetFlowControl(fn);
    this.txChanged();
    this.macChanged();
  }

  private nowPs(): number {
    return this.fn.ctx.scheduler.nowPs;
  }

  private wireReset(): void {
    const { fn, regs } = this;
    const resets = R.CTRL_RST | R.CTRL_LNK_RST;
    regs.onWrite('CTRL', (_i, value) => {
      regs.poke(R.CTRL, value & ~resets);
      if ((value & resets) === 0) return;
      fn.reset();
      regs.poke(R.CTRL, value & ~resets);
      this.resetPs = this.nowPs();
      this.resetBits = value & resets;
      if ((value & R.CTRL_LNK_RST) !== 0) fn.link.restart(regs.peek(R.AUTOC));
    });
    regs.onRead('CTRL', () => {
      const isOver = this.nowPs() >= this.resetPs + RESET_PS;
      return regs.peek(R.CTRL) | (isOver ? 0 : this.resetBits);
    });
    regs.onRead('STATUS', () => {
      const isMaster = (regs.peek(R.CTRL) & R.CTRL_GIO_DIS) === 0;
      return (
        ((fn.index & 3) << R.STATUS_LAN_ID_SHIFT) |
        (fn.link.isUp() ? R.STATUS_LINK_UP : 0) |
        (isMaster ? R.STATUS_GIO_MASTER_ENABLE : 0)
      );
    });
    regs.onRead('FRTIMER', () => Math.floor(this.nowPs() / PS_PER_US) % 0x1_0000_0000);
    regs.onRead('RDRXCTL', () => {
      const isDone = this.nowPs() >= this.resetPs + DMA_INIT_PS;
      const stored = regs.peek(R.RDRXCTL);
      return isDone ? stored | R.RDRXCTL_DMAIDONE : stored & ~R.RDRXCTL_DMAIDONE;
    });
  }

  private wireEeprom(): void {
    const { regs } = this;
    const { card } = this.fn.ctx;
    regs.onWrite('EEC', (_i, value, previous) => {
      const isAsked = (value & R.EEC_REQ) !== 0;
      const kept = previous & ~(R.EEC_REQ | R.EEC_GNT);
      regs.poke(R.EEC, kept | (isAsked ? R.EEC_REQ | R.EEC_GNT : 0));
    });
    regs.onRead('EEC', () => {
      const isDone = this.nowPs() >= this.resetPs + AUTO_READ_PS;
      return isDone ? regs.peek(R.EEC) : regs.peek(R.EEC) & ~R.EEC_ARD;
    });
    const address = (value: number): number =>
      ((value >>> R.EERD_ADDR_SHIFT) & R.EERD_ADDR_MASK) % card.eeprom.length;
    const start = (offset: number, value: number): void => {
      if ((value & R.EERD_START) === 0) return;
      this.eepromPs = this.nowPs() + EEPROM_WORD_PS;
      const data = card.eeprom[address(value)];
      regs.poke(offset, (value & 0xfffc) | (data << 16));
    };
    const done = (offset: number): number =>
      regs.peek(offset) | (this.nowPs() >= this.eepromPs ? R.EERD_DONE : 0);
    regs.onWrite('EERD', (_i, value) => start(R.EERD, value));
    regs.onRead('EERD', () => done(R.EERD));
    regs.onWrite('EEWR', (_i, value) => {
      if ((value & R.EERD_START) !== 0) card.eeprom[address(value)] = value >>> 16;
      start(R.EEWR, value);
    });
    regs.onRead('EEWR', () => done(R.EEWR));
    regs.onRead('SWSM', () => card.readSwsm());
    regs.onWrite('SWSM', (_i, value) => card.writeSwsm(value));
    regs.onRead('GSSR', () => card.readSync());
    regs.onWrite('GSSR', (_i, value) => card.writeSync(value));
  }

  private wireUnits(): void {
    const { fn, regs } = this;
    const rxChanged = (): void => {
      const isOpen = (regs.peek(R.SECRXCTRL) & R.SECRXCTRL_RX_DIS) === 0;
      fn.isRxEnabled = isOpen && (regs.peek(R.RXCTRL) & R.RXCTRL_RXEN) !== 0;
    };
    regs.onWrite('RXCTRL', rxChanged);
    regs.onWrite('SECRXCTRL', rxChanged);
    for (const name of ['DMATXCTL', 'SECTXCTRL', 'CTRL_EXT', 'EXVET'])
      regs.onWrite(name, () => this.txChanged());
    regs.onWrite('DTXMXSZRQ', (_i, value) => fn.txUnit.reads.setLimit(value));
    regs.onWrite('TCPTIMER', (_i, value) => regs.poke(R.TCPTIMER, this.tcpTimer.write(value)));
    fn.txUnit.readTcpFlags = () => [regs.peek(R.DTXTCPFLGL), regs.peek(R.DTXTCPFLGH)];
  }

  /** DMATXCTL, SECTXCTRL, CTRL_EXT or EXVET changed. */
  private txChanged(): void {
    const { fn, regs } = this;
    const dmatxctl = regs.peek(R.DMATXCTL);
    const isOpen = (regs.peek(R.SECTXCTRL) & R.SECTXCTRL_TX_DIS) === 0;
    const unit = fn.txUnit;
    const outerType = regs.peek(R.EXVET) >>> 16;
    fn.isDoubleVlan = (regs.peek(R.CTRL_EXT) & R.CTRL_EXT_EXTENDED_VLAN) !== 0;
    fn.filter.isDoubleVlan = fn.isDoubleVlan;
    unit.isEnabled = isOpen && (dmatxctl & R.DMATXCTL_TE) !== 0;
    unit.tagType = dmatxctl >>> R.DMATXCTL_VT_SHIFT;
    unit.isDoubleVlan = fn.isDoubleVlan || (dmatxctl & R.DMATXCTL_GDV) !== 0;
    unit.outerType = outerType;
    const nowPs = this.nowPs();
    if (unit.isEnabled) for (const ring of fn.txRings) ring.process(nowPs);
  }

  private wireFilters(): void {
    const { fn, regs } = this;
    regs.onWrite('FCTRL', (_i, value) => {
      fn.filter.fctrl = value;
    });
    regs.onWrite('VLNCTRL', (_i, value) => {
      fn.filter.vlnctrl = value;
    });
    regs.onWrite('MCSTCTRL', (_i, value) => {
      fn.filter.mcstctrl = value;
    });
    regs.onWrite('RAL', (index) => fn.addressChanged(index));
    regs.onWrite('RAH', (index) => fn.addressChanged(index));
  }

  private wireBuffers(): void {
    const { fn, regs } = this;
    const { config } = fn.ctx;
    const port = fn.ctx.ports[fn.index];
    const sizeOf = (value: number): number => value & (SIZE_MASK << SIZE_SHIFT);
    regs.onWrite('RXPBSIZE', (i, value) => {
      splitChanged(fn);
      if (port.split !== null) port.rxBufferBytes = config.rxPacketBufferBytes;
      else if (i === 0) port.rxBufferBytes = Math.min(sizeOf(value), config.rxPacketBufferBytes);
    });
    regs.onWrite('TXPBSIZE', (i, value) => {
      if (i === 0) port.txBufferBytes = Math.min(sizeOf(value), config.txPacketBufferBytes);
    });
    regs.onWrite('TXPBTHRESH', (i, value) => {
      if (i === 0) port.txFillBytes = (value & SIZE_MASK) * 1024;
    });
  }

  private wireLink(): void {
    const { fn, regs } = this;
    regs.onWrite('HLREG0', () => this.macChanged());
    regs.onWrite('MAXFRS', () => this.macChanged());
    regs.onWrite('AUTOC', (_i, value) => {
      regs.poke(R.AUTOC, value & ~R.AUTOC_AN_RESTART);
      if ((value & R.AUTOC_AN_RESTART) !== 0) fn.link.restart(value);
    });
    regs.onRead('LINKS', () => {
      const isSlow = fn.ctx.ports[fn.index].rateBps < TEN_GBPS;
      return fn.link.isUp() ? R.LINKS_UP | (isSlow ? R.LINKS_SPEED_1G : R.LINKS_SPEED_10G) : 0;
    });
  }

  /** HLREG0 or MAXFRS changed. */
  private macChanged(): void {
    const { fn, regs } = this;
    const hlreg0 = regs.peek(R.HLREG0);
    fn.ctx.ports[fn.index].padsShort = (hlreg0 & R.HLREG0_TXPADEN) !== 0;
    const mfs = regs.peek(R.MAXFRS) >>> R.MAXFRS_MFS_SHIFT;
    const deviceBytes = fn.ctx.config.maxFrameBytes;
    if ((hlreg0 & R.HLREG0_JUMBOEN) === 0) fn.maxFrameBytes = STANDARD_FRAME_BYTES - 4;
    else fn.maxFrameBytes = mfs === MFS_UNLIMITED ? deviceBytes : Math.max(mfs - 4, 0);
    fn.link.setLoopback((hlreg0 & R.HLREG0_LPBK) !== 0);
  }
}
