// What the kernel checks before a devlink driver is asked, and what it does around it (net/core/devlink.c of Linux 6.1).
//
// Answers are 0 or −errno, with the kernel's sentence in `extack` where it has one.

import { EINVAL, EOPNOTSUPP } from './errno.ts';
import type {
  Devlink,
  DevlinkReporter,
  DevlinkResource,
  DevlinkTrap,
  DevlinkTrapAction,
  DevlinkTrapPolicer,
} from './devlink.ts';
import type { ExtAck } from './netdev.ts';

function refuse(extack: ExtAck, message: string, reason: string): number {
  extack.message = message;
  extack.reason = reason;
  return -EINVAL;
}

/** The resource at a path like `/IPv4/fib`, null when there is none. */
export function findResource(devlink: Devlink, path: string): DevlinkResource | null {
  let level = devlink.resources;
  let found: DevlinkResource | null = null;
  for (const word of path.split('/').filter((one) => one !== '')) {
    found = level.find((one) => one.name === word) ?? null;
    if (found === null) return null;
    level = found.children;
  }
  return found;
}

/** `devlink resource set`: the size that the next reload brings. */
export function setResourceSize(resource: DevlinkResource, size: number, extack: ExtAck): number {
  if (size > resource.sizeMax) return refuse(extack, 'Size larger than maximum', 'resource-size');
  if (size < resource.sizeMin) return refuse(extack, 'Size smaller than minimum', 'resource-size');
  if (size % resource.granularity !== 0)
    return refuse(extack, 'Wrong granularity', 'resource-granularity');
  resource.sizeNew = size;
  return 0;
}

/** Whether a resource's parts, as they will be, fit into it. */
export function isSizeValid(resource: DevlinkResource): boolean {
  const parts = resource.children.reduce((sum, child) => sum + child.sizeNew, 0);
  return parts <= resource.sizeNew;
}

/** Whether a reload would change a size. */
export function hasPendingSize(resources: readonly DevlinkResource[]): boolean {
  return resources.some((one) => one.size !== one.sizeNew || hasPendingSize(one.children));
}

/** Takes the wished sizes over: the driver's part of a reload (devl_resource_size_get). */
export function applySizes(resources: readonly DevlinkResource[]): void {
  for (const resource of resources) {
    resource.size = resource.sizeNew;
    applySizes(resource.children);
  }
}

function allValid(resources: readonly DevlinkResource[]): boolean {
  return resources.every((one) => isSizeValid(one) && allValid(one.children));
}

/** `devlink dev reload`. */
export function reload(devlink: Devlink, extack: ExtAck): number {
  const { reloadDown, reloadUp } = devlink.ops;
  if (reloadDown === undefined || reloadUp === undefined) return -EOPNOTSUPP;
  if (!allValid(devlink.resources))
    return refuse(extack, 'devlink: resources size validation failed', 'resource-sum');
  const error = reloadDown(extack);
  return error === 0 ? reloadUp(extack) : error;
}

/** `devlink trap set ... action`: only drop traps change theirs; others answer with a warning and stay. */
export function setTrapAction(
  trap: DevlinkTrap,
  action: DevlinkTrapAction,
  extack: ExtAck,
): number {
  if (trap.action !== action && trap.type !== 'drop') {
    extack.message = 'Cannot change action of non-drop traps. Skipping';
    extack.reason = 'trap-type';
    return 0;
  }
  trap.action = action;
  return 0;
}

/** `devlink trap policer set`. */
export function setTrapPolicer(
  policer: DevlinkTrapPolicer,
  rate: number,
  burst: number,
  extack: ExtAck,
): number {
  const [rateMin, rateMax] = policer.rateLimits;
  const [burstMin, burstMax] = policer.burstLimits;
  if (rate < rateMin) return refuse(extack, 'Policer rate lower than limit', 'policer-rate');
  if (rate > rateMax) return refuse(extack, 'Policer rate higher than limit', 'policer-rate');
  if (burst < burstMin)
    return refuse(extack, 'Policer burst size lower than limit', 'policer-burst');
  if (burst > burstMax)
    return refuse(extack, 'Policer burst size higher than limit', 'policer-burst');
  policer.rate = rate;
  policer.burst = burst;
  return 0;
}

/** A reporter was told of an error (devlink_health_report): it recovers at once when it may by itself. */
export function reportHealth(reporter: DevlinkReporter): void {
  reporter.errorCount++;
  reporter.isHealthy = false;
  if (reporter.recovery?.isAutomatic === true) recoverHealth(reporter);
}

/** `devlink health recover`: 0, or −EOPNOTSUPP for a reporter that cannot. A healthy one stays as it is. */
export function recoverHealth(reporter: DevlinkReporter): number {
  if (reporter.recovery === null) return -EOPNOTSUPP;
  if (reporter.isHealthy) return 0;
  reporter.isHealthy = true;
  reporter.recoverCount++;
  return 0;
}
