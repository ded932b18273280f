// Collects the steps of packets in flight and gives one record per packet when its fate is known. The form of a record is
// docs/trace.md; whoever writes it (a file, `why`) takes the object.

import type { TraceSink } from '../../hw/observer.ts';
import { TraceStep as HwStep } from '../../hw/trace.ts';
import type { Fate, FateListener } from './ledger.ts';
import { fieldValue, STEP_FORMS, TRACE_SCHEMA } from './trace-schema.ts';

/** One step; further keys by STEP_FORMS. */
export interface TraceRecordStep {
  tPs: number;
  step: string;
  text?: string;
  [field: string]: number | string | undefined;
}

export interface TraceRecord {
  schema: typeof TRACE_SCHEMA;
  /** Number of the packet in the order of arrival, from 1. */
  packet: number;
  port: string;
  arrivalPs: number;
  lenBytes: number;
  /** OVS datapath text of the flow key on arrival. */
  key: string;
  steps: TraceRecordStep[];
  fate: Fate;
  /** Drop reason or kind of local end; '' for forwarded packets. */
  reason: string;
  endPs: number;
}

export class TraceCollector implements TraceSink, FateListener {
  /** Vector of a receive queue, for the interrupts' steps; set by the owner of the device. */
  vectorOf: (portIndex: number, queue: number) => number = () => -1;
  private readonly open = new Map<number, { record: TraceRecord; portIndex: number }>();
  private readonly sink: (record: TraceRecord) => void;
  private readonly only: number;

  /** `only` ≥ 1 keeps just that packet's record; 0 keeps all. */
  constructor(sink: (record: TraceRecord) => void, only = 0) {
    this.sink = sink;
    this.only = only;
  }

  /** A packet arrives: opens its record. */
  begin(
    id: number,
    packet: number,
    port: { name: string; index: number },
    arrivalPs: number,
    lenBytes: number,
    key: string,
  ): void {
    if (this.only > 0 && packet !== this.only) return;
    const record: TraceRecord = {
      schema: TRACE_SCHEMA,
      packet,
      port: port.name,
      arrivalPs,
      lenBytes,
      key,
      steps: [],
      fate: 'dropped',
      reason: '',
      endPs: arrivalPs,
    };
    this.open.set(id, { record, portIndex: port.index });
  }

  step(
    packetId: number,
    atPs: number,
    step: number,
    a: number,
    b: number,
    c: number,
    text?: string,
  ): void {
    if (step === HwStep.INTERRUPT) return this.interrupt(atPs, a, b);
    const record = this.open.get(packetId)?.record;
    if (record === undefined) return;
    const form = STEP_FORMS[step];
    const entry: TraceRecordStep = { tPs: Math.round(atPs), step: form?.name ?? `step-${step}` };
    const values = [a, b, c];
    form?.fields.forEach(([name, kind], index) => {
      entry[name] = fieldValue(kind, values[index]);
    });
    if (text !== undefined && text !== '') entry.text = text;
    record.steps.push(entry);
  }

  /** An interrupt has no packet of its own: it belongs to those in host memory that its vector announces. */
  private interrupt(atPs: number, functionIndex: number, vector: number): void {
    for (const { record, portIndex } of this.open.values()) {
      const last = record.steps[record.steps.length - 1];
      if (last?.step !== 'rx-published' || portIndex !== functionIndex) continue;
      if (this.vectorOf(portIndex, Number(last['queue'])) !== vector) continue;
      record.steps.push({
        tPs: Math.round(atPs),
        step: 'interrupt',
        function: functionIndex,
        vector,
      });
    }
  }

  onFate(id: number, fate: Fate, reason: string, atPs: number): void {
    const record = this.open.get(id)?.record;
    if (record === undefined) return;
    this.open.delete(id);
    record.fate = fate;
    record.reason = reason;
    record.endPs = Math.round(atPs);
    // The device computes times ahead: in order of time a reader sees what happened when. Stable for equal times.
    record.steps.sort((x, y) => x.tPs - y.tPs);
    this.sink(record);
  }
}
