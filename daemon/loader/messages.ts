/** What control asks of a loader, and the one answer. Tables are shared memory; nothing else in it is large. */
import type { Gateway, Problem } from '../../config/index.js';
import type { StateSizes } from '../../pipeline/gateway.js';
import type { PolicyData } from '../../pipeline/policy.js';
import type { KnownTenants } from '../tables.js';

export interface LoadOrder {
  /** The config file. */
  readonly path: string;
  readonly generation: number;
  /** Where tables put what. */
  readonly seed: number;
  /** What runs by an older config, and the new one must fit; null at the start. */
  readonly running: Running | null;
}

export interface Running {
  readonly gateway: Gateway;
  readonly sizes: StateSizes;
  readonly tenants: KnownTenants;
}

/** All that is kept of a config: the rest is in the tables, with names and lines. */
export interface Loaded extends Running {
  readonly type: 'loaded';
  readonly file: string;
  /** Tenants in it. */
  readonly tenantCount: number;
  readonly policy: PolicyData;
}

/** Nothing of it can be used, and why. */
export type LoadRefusal =
  | { readonly type: 'problems'; readonly problems: readonly Problem[] }
  /** What differs and cannot be changed without a restart. */
  | { readonly type: 'restart'; readonly keys: readonly string[] }
  /** A sentence: the file cannot be read at all; the tables cannot be made. */
  | { readonly type: 'unreadable' | 'failed'; readonly message: string };

export type LoadAnswer = Loaded | LoadRefusal;
