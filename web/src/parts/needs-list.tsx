// What a firewall has to let pass: the hub's own list, by region and in the wanted form, the three methods explained, and
// what proxies and inspection need. Made to be printed as well.
import { Download, Printer } from 'lucide-react';
import { choose, hasWildcards, regionsOf, toCsv, toJson, toText, WEIGHTS, type Need, type Needs, type Weight } from '../lib/needs';
import { place, setParameter } from '../lib/router';
import { useStore } from '../lib/store';
import u from '../styles/ui.module.css';
import { tn } from '../text/network';
import { CopyButton, Segments } from './basics';
import { Methods } from './needs-methods';
import s from './needs.module.css';

const STROKE = 1.9;

export function NeedsList({ of }: { of: Needs }) {
	const parameters = new URLSearchParams(useStore(place).search);
	const regions = regionsOf(of);
	const wish = (parameters.get('region') ?? '').toLowerCase();
	const region = regions.includes(wish) ? wish : '';
	const wildcard = hasWildcards(of) && parameters.get('wildcard') === '1';
	const reserved = parameters.get('later') !== '0';
	const list = choose(of, { region, wildcard, reserved });
	const flags = [region && `--region ${region}`, wildcard && '--wildcard', reserved && !wildcard && '--all'].filter(Boolean).join(' ');
	return (
		<div className={s.doc}>
			<Controls of={of} list={list} regions={regions} region={region} wildcard={wildcard} reserved={reserved} />
			<section className={s.card} aria-labelledby="in-short">
				<h2 id="in-short">{tn.rules}</h2>
				<p>{tn.ruleOut}</p>
				<p>{tn.ruleExclude}</p>
			</section>
			{WEIGHTS.map((weight) => {
				const some = list.filter((n) => n.need === weight);
				return some.length > 0 && <Group key={weight} weight={weight} list={some} />;
			})}
			<Methods list={choose(of, { region, wildcard: false, reserved: false })} />
			<Around flags={flags} wildcard={wildcard} />
			<p className={s.soft}>
				{tn.current(of.generation, of.version)} <bdi>{tn.at(of.deployment)}</bdi>
			</p>
		</div>
	);
}

function save(name: string, type: string, text: string): void {
	const url = URL.createObjectURL(new Blob([text], { type }));
	const link = document.createElement('a');
	link.href = url;
	link.download = name;
	link.click();
	setTimeout(() => URL.revokeObjectURL(url), 1_000);
}

interface Chosen {
	of: Needs;
	list: Need[];
	regions: string[];
	region: string;
	wildcard: boolean;
	reserved: boolean;
}

function Controls({ of, list, regions, region, wildcard, reserved }: Chosen) {
	const stem = ['allowlist', of.deployment.replace(/[^\w.-]+/g, '_'), region].filter(Boolean).join('-');
	const forms = [
		['text', 'txt', 'text/plain', () => toText(of.deployment, list)],
		['csv', 'csv', 'text/csv', () => toCsv(list)],
		['json', 'json', 'application/json', () => toJson(of, list)],
	] as const;
	return (
		<section className={`${s.card} ${s.controls}`} aria-label={tn.viewNeeds}>
			{regions.length > 0 && (
				<div className={s.choice}>
					<b>{tn.region}</b>
					<Segments<string>
						label={tn.region}
						value={region}
						options={[['', tn.allRegions], ...regions.map((name) => [name, name.toUpperCase()] as const)]}
						onChange={(value) => setParameter('region', value)}
					/>
					<span className={s.soft}>{tn.regionText}</span>
				</div>
			)}
			<Check id="wildcard" label={tn.wildcard} text={hasWildcards(of) ? tn.wildcardText : tn.noWildcard} on={wildcard} able={hasWildcards(of)} change={(on) => setParameter('wildcard', on ? '1' : '')} />
			<Check id="later" label={tn.later} text={tn.laterText} on={reserved} able change={(on) => setParameter('later', on ? '' : '0')} />
			<div className={u.row}>
				<CopyButton text={toText(of.deployment, list)} label={tn.copyList} />
				<button type="button" className={u.button} onClick={() => window.print()}>
					<Printer size={15} strokeWidth={STROKE} aria-hidden />
					{tn.print}
				</button>
				<span className={s.gap} />
				<span className={s.soft} id="download">
					{tn.download}
				</span>
				{forms.map(([name, ending, type, make]) => (
					<button key={name} type="button" className={u.button} aria-describedby="download" onClick={() => save(`${stem}.${ending}`, type, make())}>
						<Download size={15} strokeWidth={STROKE} aria-hidden />
						{tn.formats[name]}
					</button>
				))}
			</div>
		</section>
	);
}

function Check({ id, label, text, on, able, change }: { id: string; label: string; text: string; on: boolean; able: boolean; change: (on: boolean) => void }) {
	return (
		<div className={s.check}>
			<input id={id} type="checkbox" aria-describedby={`${id}-text`} checked={on} disabled={!able} onChange={(event) => change(event.target.checked)} />
			<span>
				<label htmlFor={id}>{label}</label>{' '}
				<span className={s.soft} id={`${id}-text`}>
					{text}
				</span>
			</span>
		</div>
	);
}

function Group({ weight, list }: { weight: Weight; list: Need[] }) {
	return (
		<section className={s.group} aria-labelledby={`group-${weight}`}>
			<h2 id={`group-${weight}`}>{tn.groups[weight]}</h2>
			<p className={s.soft}>{tn.groupText[weight]}</p>
			<table className={s.table} aria-labelledby={`group-${weight}`}>
				<thead>
					<tr>
						<th scope="col">{tn.protocol}</th>
						<th scope="col">{tn.port}</th>
						<th scope="col">{tn.host}</th>
						<th scope="col">{tn.purpose}</th>
					</tr>
				</thead>
				<tbody>
					{list.map((n) => (
						<Row key={`${n.id} ${n.host} ${n.region ?? ''} ${n.function ?? ''}`} n={n} />
					))}
				</tbody>
			</table>
		</section>
	);
}

const portsText = (ports: string): string => (ports === 'any' ? tn.anyPort : ports.replace('-', '–'));

function Row({ n }: { n: Need }) {
	const task = n.function && (tn.functions[n.function] ?? n.function);
	return (
		<tr>
			<td className="num">{n.protocol.toUpperCase()}</td>
			<td className={`${s.port} num`}>
				<bdi>{portsText(n.ports)}</bdi>
			</td>
			<td>
				{n.host ? (
					<span className={s.host}>
						<bdi className="mono">{n.host}</bdi>
						<CopyHost host={n.host} />
					</span>
				) : (
					<span>{n.kind === 'peers' ? tn.anyHost : tn.ownSubnets}</span>
				)}
			</td>
			<td>
				<span className={s.tags}>
					<span>{n.application}</span>
					{task && <span>{task}</span>}
					{n.region && <span>{tn.regionTag(n.region)}</span>}
					{n.direction === 'inside' && <span>{tn.inside}</span>}
					{n.methods.length < 3 && n.methods.map((m) => <span key={m}>{tn.method(m)}</span>)}
				</span>
				<span className={s.why}>
					{(n.kind === 'store' && n.function && tn.storeText[n.function]) || tn.kind[n.kind]}
					{n.ownPortMin > 0 && <> {tn.ownPorts(`${n.ownPortMin}–${n.ownPortMax}`)}</>}
				</span>
			</td>
		</tr>
	);
}

function CopyHost({ host }: { host: string }) {
	return (
		<span className={s.copy}>
			<CopyButton text={host} spoken={tn.copyHost(host)} />
		</span>
	);
}

function Command({ text }: { text: string }) {
	return (
		<div className={u.code}>
			<code dir="ltr" translate="no">
				{text}
			</code>
			<span className={s.copy}>
				<CopyButton text={text} />
			</span>
		</div>
	);
}

/** Proxies, inspection, and the command that writes rules. */
function Around({ flags, wildcard }: { flags: string; wildcard: boolean }) {
	const hub = `--hub ${location.origin}`;
	const list = (form: string, more: string) => ['fairlead allowlist', hub, `--format ${form}`, more].filter(Boolean).join(' ');
	const plain = flags.replace('--wildcard', '').trim();
	const commands = [
		['nftables', list('nftables', wildcard ? plain : flags)],
		['squid', list('squid', flags)],
		['pac', list('pac', flags)],
		['verify', `fairlead allowlist ${hub} --verify FILE`],
		['check', `fairlead check ${hub}`],
	] as const;
	return (
		<>
			<section className={s.card} aria-labelledby="proxies">
				<h2 id="proxies">{tn.proxies}</h2>
				<p>{tn.proxiesText[0]}</p>
				<Command text={'fairlead-client --proxy http:' + '//PROXY:PORT --proxy-user NAME --proxy-password-file FILE'} />
				<Command text="fairlead-client --proxy none" />
				<p>{tn.proxiesText[1]}</p>
			</section>
			<section className={s.card} aria-labelledby="inspection">
				<h2 id="inspection">{tn.inspection}</h2>
				{tn.inspectionText.map((text) => (
					<p key={text}>{text}</p>
				))}
			</section>
			<section className={s.card} aria-labelledby="commands">
				<h2 id="commands">{tn.commands}</h2>
				<p>{tn.commandsText}</p>
				<dl className={s.commands}>
					{commands.map(([name, text]) => (
						<div key={name}>
							<dt>{tn.command[name]}</dt>
							<dd>
								<Command text={text} />
							</dd>
						</div>
					))}
				</dl>
			</section>
		</>
	);
}
