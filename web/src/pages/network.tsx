// The network page: which ways sessions took (for staff), what a firewall has to let pass, and a test of the network that
// this browser is in. The part that is shown, the region and the form stand in the address, so each can be passed on.
import { useCallback, useEffect, useState } from 'react';
import { account } from '../lib/account';
import { loadNeeds, NotUnderstood, type Needs } from '../lib/needs';
import { problemText } from '../lib/problem';
import { navigate, place } from '../lib/router';
import { useStore } from '../lib/store';
import { Heading, Notice, Segments } from '../parts/basics';
import { NeedsList } from '../parts/needs-list';
import { NetTest } from '../parts/net-test';
import { Days, RouteShares } from '../parts/route-shares';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { tn } from '../text/network';
import s from './network.module.css';

const VIEWS = ['routes', 'needs', 'test'] as const;
type View = (typeof VIEWS)[number];

/** The first part is the one without a word in the address: routes for staff, else the list. */
function viewOf(search: string, staff: boolean): View {
	const parameters = new URLSearchParams(search);
	const wish = parameters.get('view') as View;
	if (VIEWS.includes(wish) && (staff || wish !== 'routes')) return wish;
	return staff && !['region', 'wildcard', 'later'].some((name) => parameters.has(name)) ? 'routes' : 'needs';
}

export default function Network() {
	const staff = useStore(account).state === 'in';
	const view = viewOf(useStore(place).search, staff);
	const title = { routes: t.network.title, needs: tn.title, test: tn.testTitle }[view];
	const lead = { routes: t.network.lead, needs: tn.lead, test: tn.testLead }[view];
	const options = VIEWS.filter((one) => staff || one !== 'routes').map((one) => [one, { routes: tn.viewRoutes, needs: tn.viewNeeds, test: tn.viewTest }[one]] as const);
	const home: View = staff ? 'routes' : 'needs';
	return (
		<main className={`${u.page} ${s.page}`} id="page">
			<div className={s.head}>
				<div>
					<Heading title={title}>{title}</Heading>
					<p className={u.lead}>{lead}</p>
				</div>
				<div className={s.controls}>
					<Segments<View>
						label={tn.view}
						value={view}
						options={options}
						onChange={(value) => navigate(value === home ? '/network' : `/network?view=${value}`)}
					/>
					{view === 'routes' && <Days />}
				</div>
			</div>
			{view === 'routes' ? <RouteShares /> : <WithNeeds view={view} />}
		</main>
	);
}

function WithNeeds({ view }: { view: 'needs' | 'test' }) {
	const [needs, setNeeds] = useState<Needs | null>(null);
	const [problem, setProblem] = useState<string | null>(null);
	const load = useCallback(async () => {
		setProblem(null);
		try {
			setNeeds(await loadNeeds());
		} catch (error) {
			if (!(error instanceof NotUnderstood)) setProblem(problemText(error));
			else setProblem(error.entry ? tn.notUnderstoodAt(error.entry) : tn.notUnderstood);
		}
	}, []);
	useEffect(() => void load(), [load]);
	return (
		<>
			{problem && (
				<Notice kind="danger" role="alert">
					<p>{tn.failed}</p>
					<p>{problem}</p>
					<button type="button" className={u.button} onClick={() => void load()}>
						{t.retry}
					</button>
				</Notice>
			)}
			{!needs && !problem && <p className={u.wait}>{t.loading}</p>}
			{view === 'needs' && needs && <NeedsList of={needs} />}
			{view === 'test' && (needs || problem) && <NetTest needs={needs} />}
		</>
	);
}
