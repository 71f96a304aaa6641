/** Sites. Their PAs are looked at with all other PAs, their prefixes with all other prefixes. */
import type { View } from '../view.js';
import { reportTwins, unusable } from './common.js';

export function checkSites({ reporter, tenants }: View): void {
  for (const tenant of tenants) {
    const sites = tenant.draft.sites ?? [];
    reportTwins(reporter, sites, 'name', s => s.name, first => `line ${first.line} has a site of this name`,
      'give each site of a tenant a name of its own');
    for (const site of sites) {
      site.prefixes?.forEach((prefix, i) => {
        const wrong = prefix === undefined ? undefined : unusable(prefix, ['unspecified']);
        if (wrong !== undefined) reporter.report(site.at, ['prefixes', i], `starts with ${wrong}, which is never routed`, 'take it out');
      });
    }
  }
}
