// Adaptive interrupt moderation as ixgbe does it (spec/hardware.md 4.1 and V27; Intel's ixgbe, update of 2017 and later).
//
// Each vector has two containers, one for its receive and one for its transmit rings. When a poll has completed, each looks
// at what came since its last look and picks a delay; the vector takes the smaller one. Three kinds of answer:
//
//   latency   fewer than 4 packets and 9,000 bytes: half of what the packet size asks for, and never more than 2 us down at
//             a time, so that a trickle of acknowledgements does not set the pace;
//   hold      4 to 255 packets: a little more (below 48), the same (below 96), or half (below 256) of the present delay:
//             between 48 and 96 packets an interrupt is what the algorithm aims at;
//   bulk      256 packets and more: what the average size asks for. The line 170 (s + 24) / (s + 640) us is approximated
//             in four straight pieces over s, in units of 1/256 us.
//
// A container that was not looked at for more than a jiffy starts over in latency mode: traffic is so thin, or polling so
// busy, that the delay does not matter. At 2.5G and 1G the size asks for four times the delay, capped.

/** Delays move in steps of this, us. */
const STEP_US = 2;
/** Delay of a container that starts over, and least delay of "hold", us. */
const MIN_US = 10;
/** Largest delay of "hold", us (hw 4.1: the low-latency clamp is 10 to 84). */
const MAX_US = 84;
/** Flag beside the delay: this container is latency driven. */
const LATENCY = 0x80;
/** One jiffy at HZ 1000, as everywhere in this host, ps. */
const JIFFY_PS = 1e9;
/** Delay that an adaptive vector starts with, us (IXGBE_20K_ITR). */
export const ADAPTIVE_START_US = 50;
/** Largest scaled size at 2.5G and 1G. */
const SLOW_LINK_CAP = 8064;

/** What the average frame size asks for, in 1/256 us at 10G (hw V27). */
function scaledOfSize(sizeBytes: number): number {
  if (sizeBytes <= 60) return 5120;
  if (sizeBytes <= 316) return 40 * sizeBytes + 2720;
  if (sizeBytes <= 1084) return 15 * sizeBytes + 11452;
  if (sizeBytes <= 1980) return 5 * sizeBytes + 22420;
  return 32256;
}

/** Delay for frames of an average size, us: bulk mode, or half of it in latency mode. */
export function delayOfSizeUs(sizeBytes: number, isLatency: boolean, isSlowLink: boolean): number {
  const scaled = scaledOfSize(sizeBytes) >> (isLatency ? 1 : 0);
  if (!isSlowLink) return STEP_US * Math.ceil(scaled / (STEP_US * 256));
  return STEP_US * Math.ceil(Math.min(scaled, SLOW_LINK_CAP) / (STEP_US * 64));
}

/** One direction of a vector. Counts go up for ever; what came since the last look is the difference. */
class Container {
  private delayUs = MAX_US;
  private latency = LATENCY;
  private nextJiffy = 1;
  private seenPackets = 0;
  private seenBytes = 0;

  /** Looks at the counts and answers the delay that this container wants, us. */
  look(
    jiffy: number,
    totalPackets: number,
    totalBytes: number,
    vectorUs: number,
    isSlowLink: boolean,
  ): number {
    const packets = totalPackets - this.seenPackets;
    const bytes = totalBytes - this.seenBytes;
    this.seenPackets = totalPackets;
    this.seenBytes = totalBytes;
    const isStale = jiffy > this.nextJiffy;
    this.nextJiffy = jiffy + 1;
    if (isStale) this.set(MIN_US, LATENCY);
    else this.choose(packets, bytes, vectorUs, isSlowLink);
    return this.delayUs;
  }

  private choose(packets: number, bytes: number, vectorUs: number, isSlowLink: boolean): void {
    const moreUs = Math.min(vectorUs + STEP_US, MAX_US);
    if (packets === 0) this.set(moreUs, this.latency);
    else if (packets < 4 && bytes < 9000) {
      const wantedUs = delayOfSizeUs(Math.floor(bytes / packets), true, isSlowLink);
      // Compared with the flag on both sides: a container that was in bulk mode is never above.
      const isDown = this.latency === LATENCY && wantedUs < this.delayUs;
      this.set(isDown ? this.delayUs - STEP_US : wantedUs, LATENCY);
    } else if (packets < 48) this.set(moreUs, packets < 8 ? LATENCY : this.latency);
    else if (packets < 96) this.set(vectorUs, 0);
    else if (packets < 256) this.set(Math.max(vectorUs >> 1, MIN_US), 0);
    else this.set(delayOfSizeUs(Math.floor(bytes / packets), false, isSlowLink), 0);
  }

  private set(delayUs: number, latency: number): void {
    this.delayUs = delayUs;
    this.latency = latency;
  }
}

/** The adaptive interval of one vector. */
export class AdaptiveInterval {
  /** Present interval, us. */
  intervalUs = ADAPTIVE_START_US;
  private readonly rx = new Container();
  private readonly tx = new Container();
  private readonly isSlowLink: boolean;

  constructor(speedMbps: number) {
    // As ixgbe: 2.5G and 1G have their own scale, every other speed that of 10G.
    this.isSlowLink = speedMbps === 2500 || speedMbps === 1000;
  }

  /** After a completed poll: takes the rings' running totals; true when `intervalUs` changed. */
  update(
    nowPs: number,
    rxPackets: number,
    rxBytes: number,
    txPackets: number,
    txBytes: number,
  ): boolean {
    const jiffy = Math.floor(nowPs / JIFFY_PS);
    const { intervalUs, isSlowLink } = this;
    const txUs = this.tx.look(jiffy, txPackets, txBytes, intervalUs, isSlowLink);
    const rxUs = this.rx.look(jiffy, rxPackets, rxBytes, intervalUs, isSlowLink);
    const wantedUs = Math.min(rxUs, txUs);
    this.intervalUs = wantedUs;
    return wantedUs !== intervalUs;
  }
}
