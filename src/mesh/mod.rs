//! Questions in flight: joins equal ones, runs subqueries, owns the budget of each client query.
