//! Metric math, as far as scaling needs it: `IF(FILL(tasks, 0) > 0, (visible + busy) / tasks, 0)`.
//!
//! A value may be missing, and what is computed from it is missing too, a division by zero as well ("Using metric math" in the
//! CloudWatch user guide). `FILL` alone makes something of it.

use std::collections::BTreeMap;

/// An expression over metrics.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A number.
    Number(f64),
    /// A metric.
    Metric(Signal),
    /// A function, or an operator between two.
    Call(Function, Vec<Expression>),
}

/// A metric that the simulator knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// `ApproximateNumberOfMessagesVisible`
    Visible,
    /// `ApproximateNumberOfMessagesNotVisible`
    InFlight,
    /// `RunningTaskCount`, which is missing while a service has no task.
    Running,
    /// `DesiredTaskCount`
    Desired,
}

impl Signal {
    /// Whether it comes from ECS, else from SQS.
    pub(super) fn is_of_ecs(self) -> bool {
        matches!(self, Self::Running | Self::Desired)
    }
}

/// Functions and operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Add,
    Subtract,
    Multiply,
    Divide,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    If,
    Fill,
    Max,
    Min,
    Ceil,
    Floor,
}
use Function::{
    Add, Ceil, Divide, Equal, Fill, Floor, Greater, GreaterOrEqual, If, Less, LessOrEqual, Max, Min, Multiply,
    NotEqual, Subtract,
};

const NAMED: [(&str, Function, usize); 6] =
    [("IF", If, 3), ("FILL", Fill, 2), ("MAX", Max, 1), ("MIN", Min, 1), ("CEIL", Ceil, 1), ("FLOOR", Floor, 1)];
/// By how strongly they bind; longer names first.
const OPERATORS: [&[(&str, Function)]; 3] = [
    &[("<=", LessOrEqual), (">=", GreaterOrEqual), ("==", Equal), ("!=", NotEqual), ("<", Less), (">", Greater)],
    &[("+", Add), ("-", Subtract)],
    &[("*", Multiply), ("/", Divide)],
];

/// The largest depth of an expression.
const DEPTH: usize = 32;

impl Expression {
    /// Its value, or none if it is missing.
    pub fn value(&self, of: &impl Fn(Signal) -> Option<f64>) -> Option<f64> {
        let (function, arguments) = match self {
            Self::Number(number) => return Some(*number),
            Self::Metric(signal) => return of(*signal),
            Self::Call(function, arguments) => (function, arguments),
        };
        let value = |n: usize| arguments.get(n).and_then(|argument| argument.value(of));
        let truth = |is: bool| Some(f64::from(u8::from(is)));
        match function {
            If => return if value(0)? != 0.0 { value(1) } else { value(2) },
            Fill => return value(0).or_else(|| value(1)),
            Max | Min => {
                let all = arguments.iter().filter_map(|argument| argument.value(of));
                return if *function == Max { all.reduce(f64::max) } else { all.reduce(f64::min) };
            }
            Ceil => return value(0).map(f64::ceil),
            Floor => return value(0).map(f64::floor),
            _ => {}
        }
        let (one, other) = (value(0)?, value(1)?);
        match function {
            Add => Some(one + other),
            Subtract => Some(one - other),
            Multiply => Some(one * other),
            Divide => (other != 0.0).then(|| one / other),
            Less => truth(one < other),
            LessOrEqual => truth(one <= other),
            Greater => truth(one > other),
            GreaterOrEqual => truth(one >= other),
            Equal => truth(one == other),
            _ => truth(one != other),
        }
    }

    /// The metrics in it.
    pub(super) fn signals(&self) -> Vec<Signal> {
        match self {
            Self::Number(_) => vec![],
            Self::Metric(signal) => vec![*signal],
            Self::Call(_, arguments) => arguments.iter().flat_map(Self::signals).collect(),
        }
    }

    /// Reads an expression whose names stand for others.
    pub fn parse(text: &str, names: &BTreeMap<String, Self>) -> Result<Self, String> {
        let mut reader = Reader { rest: text.trim_start(), names, depth: 0 };
        let expression = reader.operation(0)?;
        match reader.rest {
            "" => Ok(expression),
            rest => Err(format!("`{text}`: `{rest}` is not understood")),
        }
        .map_err(|why| why.chars().take(400).collect())
    }
}

struct Reader<'a> {
    rest: &'a str,
    names: &'a BTreeMap<String, Expression>,
    depth: usize,
}

impl Reader<'_> {
    fn skip(&mut self, token: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        self.rest = rest.trim_start();
        true
    }

    fn operation(&mut self, level: usize) -> Result<Expression, String> {
        let Some(operators) = OPERATORS.get(level) else { return self.operand() };
        let mut left = self.operation(level + 1)?;
        while let Some((_, function)) = operators.iter().find(|(token, _)| self.skip(token)) {
            left = Expression::Call(*function, vec![left, self.operation(level + 1)?]);
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("it is nested more than {DEPTH} deep"));
        }
        let operand = self.inner_operand();
        self.depth -= 1;
        operand
    }

    fn inner_operand(&mut self) -> Result<Expression, String> {
        if self.skip("(") || self.rest.starts_with('[') && self.skip("[") {
            let inner = self.operation(0)?;
            return if self.skip(")") { Ok(inner) } else { Err("a `)` is missing".into()) };
        }
        if self.skip("-") {
            return Ok(Expression::Call(Subtract, vec![Expression::Number(0.0), self.operand()?]));
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.trim_start();
        if let Ok(number) = word.parse::<f64>()
            && word.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        {
            return Ok(Expression::Number(number));
        }
        if let Some((name, function, count)) = NAMED.iter().find(|(name, ..)| *name == word) {
            return self.call(name, *function, *count);
        }
        let known = || self.names.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        match self.names.get(word) {
            Some(named) => Ok(named.clone()),
            None if word.is_empty() => Err("a metric or a number is missing at the end or before an operator".into()),
            None if self.rest.starts_with('(') => Err(format!("the function `{word}` is not known to the simulator")),
            None => Err(format!("`{word}` is no metric with an `Id` here (there are: {})", known())),
        }
    }

    fn call(&mut self, name: &str, function: Function, count: usize) -> Result<Expression, String> {
        if !self.skip("(") {
            return Err(format!("`{name}` has no arguments"));
        }
        let in_list = self.skip("[");
        let mut arguments = vec![self.operation(0)?];
        while self.skip(",") {
            arguments.push(self.operation(0)?);
        }
        if in_list && !self.skip("]") || !self.skip(")") {
            return Err(format!("the arguments of `{name}` do not end"));
        }
        let is_right = if in_list { matches!(function, Max | Min) } else { arguments.len() == count };
        if is_right {
            Ok(Expression::Call(function, arguments))
        } else {
            Err(format!("`{name}` has {count} arguments"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Expression, String> {
        let names = [("visible", Signal::Visible), ("busy", Signal::InFlight), ("tasks", Signal::Running)];
        let names = names.map(|(name, signal)| (name.to_owned(), Expression::Metric(signal)));
        Expression::parse(text, &BTreeMap::from(names))
    }

    /// With 6 visible, 4 in flight and no metric of tasks.
    fn value(text: &str) -> Option<f64> {
        parse(text).unwrap().value(&|signal| match signal {
            Signal::Visible => Some(6.0),
            Signal::InFlight => Some(4.0),
            Signal::Running | Signal::Desired => None,
        })
    }

    #[test]
    fn what_is_missing_stays_missing_until_it_is_filled() {
        for (text, expected) in [
            ("visible + busy * 2 - 1", Some(13.0)),
            ("(visible + busy) / 4", Some(2.5)),
            ("visible - busy - 1", Some(1.0)),
            ("-visible", Some(-6.0)),
            ("visible / 0", None),
            ("(visible + busy) / tasks", None),
            ("IF(tasks > 0, 1, 2)", None),
            ("(visible+busy) / IF(FILL(tasks,0)>0, tasks, 1)", Some(10.0)),
            ("IF(visible >= 6, IF(busy != 4, 1, 2), 3)", Some(2.0)),
            ("MAX([visible, busy, tasks])", Some(6.0)),
            ("CEIL(visible / busy) + FLOOR(1.5) + MIN([9, tasks])", Some(12.0)),
            ("FILL(tasks, busy < 1)", Some(0.0)),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let refused = |text: &str| parse(text).unwrap_err();
        insta::assert_snapshot!(
            ["visible + queue", "RATE(visible)", "visible visible", "IF(visible, 1)", "visible +", "(visible", "FILL(tasks"]
                .map(refused)
                .join("\n"),
            @r"
        `queue` is no metric with an `Id` here (there are: busy, tasks, visible)
        the function `RATE` is not known to the simulator
        `visible visible`: `visible` is not understood
        `IF` has 3 arguments
        a metric or a number is missing at the end or before an operator
        a `)` is missing
        the arguments of `FILL` do not end
        ");
        assert!(parse(&"(".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-zA-Z0-9().,+*/<>= -]{0,40}") {
            let _ = parse(&text).map(|expression| expression.value(&|_| Some(1.0)));
        }
    }
}
